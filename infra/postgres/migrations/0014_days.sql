-- The end of a class and day is receipted too.

set local role sluice_owner;

alter table sluice.purge_job drop constraint purge_job_scope_check;
alter table sluice.purge_job add constraint purge_job_scope_check
  check (scope in ('request', 'subject', 'class'));

-- What of a class and day came by the inbox, where it lies for days more.
create index request_arrived on sluice.request
  (tenant_id, substr(terms ->> 'key_id', 5, 2), substr(terms ->> 'key_id', 1, 4))
  where terms ->> 'arrival' is not null;

reset role;
