-- What operators released: groups that were held or halted go on. Of no tenant.
--
-- Only the operator's login writes here, as itself: no role that a service becomes may
-- take a brake off. Workers read, and heed what is newer than their start.

set local role sluice_owner;

create table sluice.delivery_release (
  id bigint generated always as identity primary key,
  consumer_group text not null check (length(consumer_group) between 1 and 64),
  released_at timestamptz not null default now()
);
grant select, insert on sluice.delivery_release to sluice_operator;
grant select on sluice.delivery_release to sluice_worker;
grant usage on schema sluice to sluice_operator, sluice_worker;

reset role;
