-- Who serves requests lets nobody in. Until now the logins of gateways and workers could,
-- once they acted as a tenant, give it API keys and clients, thaw it, and change its
-- routes and policies, and no record told of it. What operators do, they do as a role of
-- their own.
do $$
begin
  create role sluice_steward nologin nobypassrls;
exception when duplicate_object or unique_violation then
  null; -- another database of this cluster made it
end
$$;

-- It has the tenant's rights, and is held by the tenant's policies.
grant sluice_tenant to sluice_steward;
grant sluice_steward to sluice_operator;

set local role sluice_owner;

revoke insert, update on sluice.tenant, sluice.route, sluice.api_key,
  sluice.api_key_secret, sluice.client from sluice_tenant;
revoke insert on sluice.policy from sluice_tenant;
revoke delete on sluice.route from sluice_tenant;
grant insert, update on sluice.tenant, sluice.route, sluice.api_key,
  sluice.api_key_secret, sluice.client to sluice_steward;
grant insert on sluice.policy to sluice_steward;
grant delete on sluice.route to sluice_steward;

reset role;
