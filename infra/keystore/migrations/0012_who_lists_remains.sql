-- The list of remains says which days must be rewritten, for deleted keys lie in them. The
-- login of the gateways and workers could, once it acted as a tenant, put one on another
-- day: it was never rewritten, and the bytes of keys whose erasure was receipted stayed.
-- Only a deletion writes to the list now, with its owner's rights.
set local role sluice_keystore_owner;

create or replace function keystore.remember_remains() returns trigger
  language plpgsql security definer set search_path = pg_catalog
as $$
begin
  insert into keystore.remains as r (class, day)
    select distinct class, day from deleted where class > 0
    -- Moved on: a deletion behind a rewrite must outlive that rewrite's tidying. Who
    -- comes second here may have begun first.
    on conflict on constraint remains_pkey do update
      set since = clock_timestamp(),
          deleted_by = greatest(r.deleted_by, excluded.deleted_by);
  return null;
end
$$;

revoke insert, select, update on keystore.remains from sluice_keystore_tenant;

reset role;
