-- The key under which a tenant's people have pseudonyms, sealed under the tenant's key.

set local role sluice_keystore_owner;

create table keystore.subject_key (
  tenant_id uuid primary key default keystore.claimed_tenant(),
  sealed bytea not null
);

alter table keystore.subject_key enable row level security;
alter table keystore.subject_key force row level security;
create policy tenant_fence on keystore.subject_key to sluice_keystore_tenant
  using (tenant_id = (select current_setting('sluice.tenant_id', true)::uuid))
  with check (tenant_id = (select current_setting('sluice.tenant_id', true)::uuid));
create policy tenant_floor on keystore.subject_key as restrictive
  to sluice_keystore_tenant
  using (tenant_id = (select keystore.claimed_tenant()))
  with check (tenant_id = (select keystore.claimed_tenant()));
grant select, insert, delete on keystore.subject_key to sluice_keystore_tenant;

-- The sealed key; null where there is none yet.
create function keystore.subject_key_load(tenant uuid) returns bytea
  language plpgsql volatile
as $$
begin
  perform keystore.act_as(tenant);
  return (select k.sealed from keystore.subject_key k where k.tenant_id = tenant);
end
$$;

-- Keep `fresh` if there is none yet; what is there after that.
create function keystore.subject_key_keep(tenant uuid, fresh bytea)
  returns bytea
  language plpgsql volatile
as $$
begin
  perform keystore.act_as(tenant);
  insert into keystore.subject_key (sealed) values (fresh) on conflict do nothing;
  return (select k.sealed from keystore.subject_key k where k.tenant_id = tenant);
end
$$;

revoke execute on function keystore.subject_key_load, keystore.subject_key_keep
  from public;
grant execute on function keystore.subject_key_load, keystore.subject_key_keep
  to sluice_keystore_app, sluice_keystore_keeper;

reset role;
