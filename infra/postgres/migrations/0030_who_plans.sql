-- What a job of forgetting destroys is its plan, and its first plan stands. Until now the
-- gateways' login could write one: an empty one, so that an order was receipted and
-- nothing destroyed, or one that names keys of other requests. Now the workers' alone
-- may, as a role of its own.
do $$
begin
  create role sluice_purger nologin nobypassrls;
exception when duplicate_object or unique_violation then
  null; -- another database of this cluster made it
end
$$;

-- It has the tenant's rights, and is held by the tenant's policies.
grant sluice_tenant to sluice_purger;
grant sluice_purger to sluice_worker;

set local role sluice_owner;

revoke insert, update on sluice.purge_job from sluice_tenant;
grant insert, update on sluice.purge_job to sluice_purger;

reset role;
