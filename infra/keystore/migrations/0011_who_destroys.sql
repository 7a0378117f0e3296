-- Who seals and opens destroys nothing. Until now the login of the gateways and workers
-- could, once it acted as a tenant, delete its keys without a tombstone and a record,
-- and end it. What the keeper alone does, it does as a role of its own; all others may
-- delete transient keys, which end with their request.

do $$
begin
  create role sluice_keystore_destroyer nologin nobypassrls;
exception when duplicate_object or unique_violation then
  null; -- another database of this cluster made it
end
$$;

-- It has the tenant's rights, and is held by the tenant's policies.
grant sluice_keystore_tenant to sluice_keystore_destroyer;
grant sluice_keystore_destroyer to sluice_keystore_keeper;

set local role sluice_keystore_owner;

create or replace function keystore.act_as(tenant uuid) returns void
  language sql volatile
begin atomic
  select set_config('role',
                    case when pg_has_role(session_user, 'sluice_keystore_destroyer',
                                          'member')
                         then 'sluice_keystore_destroyer'
                         else 'sluice_keystore_tenant' end, true),
         set_config('request.jwt.claims',
                    jsonb_build_object('tenant_id', tenant)::text, true),
         set_config('sluice.tenant_id', tenant::text, true);
end;

revoke insert, update on keystore.tenant_keys from sluice_keystore_tenant;
revoke insert, delete on keystore.kek from sluice_keystore_tenant;
revoke insert on keystore.destroyed from sluice_keystore_tenant;
revoke delete on keystore.subject_key from sluice_keystore_tenant;

grant insert, update on keystore.tenant_keys to sluice_keystore_destroyer;
grant insert, delete on keystore.kek to sluice_keystore_destroyer;
grant insert on keystore.destroyed to sluice_keystore_destroyer;
grant delete on keystore.subject_key to sluice_keystore_destroyer;

create policy transient_alone on keystore.dek as restrictive
  for delete to sluice_keystore_tenant
  using (class = 0 or (select pg_has_role('sluice_keystore_destroyer', 'usage')));

reset role;
