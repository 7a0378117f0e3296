-- Jobs of forgetting: what each is about to destroy, what it deleted, what it signed.

set local role sluice_owner;

create table sluice.purge_job (
  tenant_id uuid not null default auth.tenant_id() references sluice.tenant,
  id uuid not null,
  scope text not null check (scope in ('request', 'subject')),
  ref text not null,
  requested_at timestamptz not null,
  as_of timestamptz not null,
  key_ids bytea[] not null,
  request_ids uuid[] not null,
  probe bytea,
  deleted jsonb not null default '{}', -- rows by table, over all attempts
  finished_at timestamptz,
  receipt text,
  primary key (tenant_id, id),
  check (cardinality(key_ids) = cardinality(request_ids))
);

alter table sluice.purge_job enable row level security;
alter table sluice.purge_job force row level security;
create policy tenant_fence on sluice.purge_job to sluice_tenant
  using (tenant_id = (select current_setting('sluice.tenant_id', true)::uuid))
  with check (tenant_id = (select current_setting('sluice.tenant_id', true)::uuid));
create policy tenant_floor on sluice.purge_job as restrictive to sluice_tenant
  using (tenant_id = (select auth.tenant_id()))
  with check (tenant_id = (select auth.tenant_id()));
grant select, insert, update on sluice.purge_job to sluice_tenant;

-- Add to what a job deleted from a table; the sum.
create function sluice.purge_count(job uuid, held_in text, more bigint) returns bigint
  language sql volatile
begin atomic
  update sluice.purge_job j
     set deleted = jsonb_set(j.deleted, array[held_in],
           to_jsonb(coalesce((j.deleted ->> held_in)::bigint, 0) + more))
   where j.id = job and j.tenant_id = (select auth.tenant_id())
  returning (j.deleted ->> held_in)::bigint;
end;

revoke execute on function sluice.purge_count from public;
grant execute on function sluice.purge_count to sluice_tenant;

reset role;
