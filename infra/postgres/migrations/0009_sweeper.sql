-- What time has passed over: requests past their deadline, and answers nobody took.

set local role sluice_owner;

alter table sluice.request add column transient boolean not null
  generated always as
    (coalesce(terms -> 'retention' ->> 'retention_class' = 'transient', false)) stored;
create index request_passing on sluice.request (deadline) where transient;

-- The sweeper sees which tenants have requests past their deadline, and no more.
drop policy due on sluice.request;
create policy past on sluice.request for select to sluice_finder
  using (deadline < now());
grant select (transient) on sluice.request to sluice_finder;

reset role;
