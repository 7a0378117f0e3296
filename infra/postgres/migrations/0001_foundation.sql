-- Roles, tenants, credentials, routes, policies, and the outbox of what operators did.
--
-- The owner owns everything and logs in nowhere. A service logs in as a role that may
-- do nothing, and becomes a tenant, the door or the finder inside each transaction.

do $$
declare
  wanted text;
begin
  foreach wanted in array array[
    'sluice_owner nologin nobypassrls',
    'sluice_tenant nologin nobypassrls',
    'sluice_door nologin nobypassrls',    -- looks one credential up
    'sluice_finder nologin nobypassrls',  -- finds tenants that have work due
    'sluice_gateway login noinherit nobypassrls',
    'sluice_worker login noinherit nobypassrls',
    'sluice_operator login noinherit nobypassrls'
  ] loop
    begin
      execute 'create role ' || wanted;
    exception when duplicate_object or unique_violation then
      null; -- another database of this cluster made it
    end;
  end loop;
end
$$;

grant sluice_tenant, sluice_door to sluice_gateway;
grant sluice_tenant, sluice_finder, sluice_door to sluice_worker;
grant sluice_tenant, sluice_finder, sluice_door to sluice_operator;

revoke all on schema public from public;
create schema auth authorization sluice_owner;
create schema sluice authorization sluice_owner;
grant usage on schema auth, sluice to sluice_tenant, sluice_door, sluice_finder;

set local role sluice_owner;

create function auth.tenant_id() returns uuid
  language sql stable set search_path = pg_catalog
  return (nullif(current_setting('request.jwt.claims', true), '')::jsonb
          ->> 'tenant_id')::uuid;

-- Both settings that row-level security reads; for functions that walk tenants.
create function auth.become(tenant uuid) returns void
  language sql volatile set search_path = pg_catalog
  begin atomic
    select set_config('request.jwt.claims',
             json_build_object('tenant_id', tenant)::text, true),
           set_config('sluice.tenant_id', tenant::text, true);
  end;

create table sluice.tenant (
  tenant_id uuid primary key default auth.tenant_id(),
  name text not null check (length(name) between 1 and 128),
  state text not null default 'active' check (state in ('active', 'frozen')),
  created_at timestamptz not null default now()
);

create table sluice.route (
  tenant_id uuid not null default auth.tenant_id() references sluice.tenant,
  environment text not null check (environment in ('live', 'test')),
  model text not null check (length(model) between 1 and 128),
  provider text not null,
  upstream_model text not null check (length(upstream_model) between 1 and 128),
  primary key (tenant_id, environment, model)
);

create table sluice.policy (
  tenant_id uuid not null default auth.tenant_id() references sluice.tenant,
  version integer not null check (version >= 1),
  document bytea not null,
  sha256 text not null check (length(sha256) = 64),
  created_at timestamptz not null default now(),
  primary key (tenant_id, version)
);

create table sluice.api_key (
  tenant_id uuid not null default auth.tenant_id() references sluice.tenant,
  id uuid not null,
  name text not null,
  environment text not null check (environment in ('live', 'test')),
  capabilities text[] not null,
  models text[],
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  revoked_at timestamptz,
  primary key (tenant_id, id)
);

create table sluice.api_key_secret (
  tenant_id uuid not null default auth.tenant_id(),
  public_id text not null,
  key_id uuid not null,
  sha256 bytea not null check (octet_length(sha256) = 32),
  not_before timestamptz not null default now(),
  not_after timestamptz,
  primary key (tenant_id, public_id),
  foreign key (tenant_id, key_id) references sluice.api_key (tenant_id, id)
);
create unique index api_key_secret_presented on sluice.api_key_secret (public_id);

create table sluice.client (
  tenant_id uuid not null default auth.tenant_id() references sluice.tenant,
  id text not null,
  name text not null,
  environment text not null check (environment in ('live', 'test')),
  capabilities text[] not null,
  models text[],
  sha256 bytea not null check (octet_length(sha256) = 32),
  tokens_valid_after timestamptz,
  created_at timestamptz not null default now(),
  revoked_at timestamptz,
  primary key (tenant_id, id)
);
create unique index client_presented on sluice.client (id);

-- Events of administrative acts, in the transaction of the act; the outbox worker
-- publishes them.
create table sluice.outbox (
  tenant_id uuid not null default auth.tenant_id(),
  event_id uuid not null,
  topic text not null,
  key bytea not null,
  headers jsonb not null,
  value bytea not null,
  created_at timestamptz not null default now(),
  primary key (tenant_id, event_id)
);

do $$
declare
  fenced text;
begin
  foreach fenced in array array[
    'tenant', 'route', 'policy', 'api_key', 'api_key_secret', 'client', 'outbox'
  ] loop
    execute format('alter table sluice.%I enable row level security', fenced);
    execute format('alter table sluice.%I force row level security', fenced);
    execute format(
      'create policy tenant_fence on sluice.%I to sluice_tenant
         using (tenant_id = (select current_setting(''sluice.tenant_id'', true)::uuid))
         with check
           (tenant_id = (select current_setting(''sluice.tenant_id'', true)::uuid))',
      fenced);
    execute format(
      'create policy tenant_floor on sluice.%I as restrictive to sluice_tenant
         using (tenant_id = (select auth.tenant_id()))
         with check (tenant_id = (select auth.tenant_id()))', fenced);
    execute format('grant select on sluice.%I to sluice_tenant', fenced);
  end loop;
end
$$;

grant insert, update on sluice.tenant, sluice.route, sluice.api_key,
  sluice.api_key_secret, sluice.client to sluice_tenant;
grant insert on sluice.policy to sluice_tenant; -- versions never change
grant delete on sluice.route to sluice_tenant;
grant insert, update, delete on sluice.outbox to sluice_tenant; -- update: row locks

-- The door sees the one credential that was presented, or none.
create policy presented on sluice.api_key_secret for select to sluice_door
  using (public_id = (select current_setting('sluice.presented', true)));
grant select on sluice.api_key_secret to sluice_door;
create policy presented on sluice.client for select to sluice_door
  using (id = (select current_setting('sluice.presented', true)));
grant select on sluice.client to sluice_door;

-- The finder sees which tenants have something to publish, and no more.
create policy due on sluice.outbox for select to sluice_finder using (true);
grant select (tenant_id, created_at) on sluice.outbox to sluice_finder;
create policy listed on sluice.tenant for select to sluice_finder using (true);
grant select (tenant_id, name, state) on sluice.tenant to sluice_finder;

revoke all on function auth.become(uuid) from public;
grant execute on function auth.become(uuid) to sluice_tenant;
grant execute on function auth.tenant_id() to sluice_tenant, sluice_door, sluice_finder;
