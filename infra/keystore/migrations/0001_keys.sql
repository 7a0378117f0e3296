-- The keystore: wrapped data keys by class and day, in a database of its own.
--
-- It never shares a backup with content: a wrapped key that lies beside what it sealed
-- shreds nothing. Its own backups live seven days at most.

-- Roles belong to the cluster, so another database may have made them before.
do $$
declare
  wanted text;
begin
  foreach wanted in array array[
    'sluice_keystore_owner nologin',              -- owns everything, reads nothing
    'sluice_keystore_tenant nologin nobypassrls', -- what every statement runs as
    'sluice_keystore_app login noinherit nobypassrls',    -- gateway and workers
    'sluice_keystore_keeper login noinherit nobypassrls'  -- retention, the operator
  ] loop
    begin
      execute 'create role ' || wanted;
    exception when duplicate_object or unique_violation then
      null;
    end;
  end loop;
end
$$;

grant sluice_keystore_tenant to sluice_keystore_app, sluice_keystore_keeper;
grant sluice_keystore_owner to sluice_keystore_keeper;

create schema keystore authorization sluice_keystore_owner;
revoke all on schema public from public;
grant usage on schema keystore
  to sluice_keystore_tenant, sluice_keystore_app, sluice_keystore_keeper;

set local role sluice_keystore_owner;

create function keystore.claimed_tenant() returns uuid
  language sql stable set search_path = pg_catalog
  return (nullif(current_setting('request.jwt.claims', true), '')::jsonb
          ->> 'tenant_id')::uuid;

-- Where a tenant stands. The epoch rises with every destruction and every rotation:
-- whoever cached a key under an older one drops it.
create table keystore.tenant_keys (
  tenant_id uuid primary key default keystore.claimed_tenant(),
  state text not null default 'active' check (state in ('active', 'terminated')),
  epoch bigint not null default 1,
  version integer not null
);

-- The tenant's own keys, each wrapped by the provider's key of the same version.
create table keystore.kek (
  tenant_id uuid not null default keystore.claimed_tenant(),
  version integer not null,
  wrapped bytea not null,
  created_at timestamptz not null default now(),
  primary key (tenant_id, version)
);

-- One row a request. The key id holds day and class, so an id names its partition.
create table keystore.dek (
  day date not null,
  class smallint not null,
  key_id bytea not null check (octet_length(key_id) = 16),
  tenant_id uuid not null default keystore.claimed_tenant(),
  request_id uuid not null,
  subject bytea check (octet_length(subject) = 32),
  kek_version integer not null,
  wrapped bytea not null check (octet_length(wrapped) = 60),
  primary key (day, class, key_id)
) partition by list (class);

create index dek_of_request on keystore.dek (tenant_id, request_id);
create index dek_of_subject on keystore.dek (tenant_id, subject)
  where subject is not null;

-- Ids that were destroyed by order: a restored backup must not bring them back, and
-- none is ever taken again.
create table keystore.destroyed (
  tenant_id uuid not null default keystore.claimed_tenant(),
  key_id bytea not null,
  request_id uuid not null,
  epoch bigint not null,
  destroyed_at timestamptz not null default now(),
  primary key (tenant_id, key_id)
);

-- No default partition anywhere: it would refuse DETACH ... CONCURRENTLY.
create table keystore.dek_0 partition of keystore.dek
  for values in (0) partition by list (day);
create table keystore.dek_1 partition of keystore.dek
  for values in (1) partition by list (day);
create table keystore.dek_2 partition of keystore.dek
  for values in (2) partition by list (day);
create table keystore.dek_3 partition of keystore.dek
  for values in (3) partition by list (day);
create table keystore.dek_4 partition of keystore.dek
  for values in (4) partition by list (day);
create table keystore.dek_5 partition of keystore.dek
  for values in (5) partition by list (day);
create table keystore.dek_6 partition of keystore.dek
  for values in (6) partition by list (day);

-- Partitions have none of their parent's security: they get it forced, without any
-- policy, and rights are granted on the parent alone.
do $$
declare
  fenced text;
begin
  for fenced in
    select c.oid::regclass::text from pg_class c
     where c.relnamespace = 'keystore'::regnamespace and c.relkind in ('r', 'p')
  loop
    execute format('alter table %s enable row level security', fenced);
    execute format('alter table %s force row level security', fenced);
  end loop;

  foreach fenced in array array['tenant_keys', 'kek', 'dek', 'destroyed'] loop
    execute format(
      'create policy tenant_fence on keystore.%I to sluice_keystore_tenant
         using (tenant_id = (select current_setting(''sluice.tenant_id'', true)::uuid))
         with check
           (tenant_id = (select current_setting(''sluice.tenant_id'', true)::uuid))',
      fenced);
    execute format(
      'create policy tenant_floor on keystore.%I as restrictive
         to sluice_keystore_tenant
         using (tenant_id = (select keystore.claimed_tenant()))
         with check (tenant_id = (select keystore.claimed_tenant()))',
      fenced);
  end loop;
end
$$;

grant select, insert, delete on keystore.dek to sluice_keystore_tenant;
grant select, insert on keystore.destroyed to sluice_keystore_tenant;
grant select, insert, update on keystore.tenant_keys to sluice_keystore_tenant;
grant select, insert, delete on keystore.kek to sluice_keystore_tenant;

reset role;
