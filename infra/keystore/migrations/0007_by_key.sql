-- Keys are looked for by id, one by one: the join over a batch's ids was planned, in a
-- partition that was not analysed yet, as a walk over all that the tenant has in it.

set local role sluice_keystore_owner;

create or replace function keystore.dek_fetch(
  tenants uuid[], counts integer[], ids bytea[]
) returns table (tenant_id uuid, key_id bytea, kek_version integer, wrapped bytea,
                 epoch bigint)
  language plpgsql volatile set plan_cache_mode = force_custom_plan
as $$
declare
  first integer := 1;
  last integer;
  part record;
begin
  for place in 1 .. cardinality(tenants) loop
    last := first + counts[place] - 1;
    perform keystore.act_as(tenants[place]);
    for part in
      select keystore.day_of(id) as day, keystore.class_of(id) as class,
             array_agg(id) as ids
        from unnest(ids[first:last]) id group by 1, 2
    loop
      return query
        select d.tenant_id, d.key_id, d.kek_version, d.wrapped, k.epoch
          from unnest(part.ids) n (id)
         cross join lateral (
           select d.* from keystore.dek d
            where d.day = part.day and d.class = part.class and d.key_id = n.id
            limit 1
         ) d
          join keystore.tenant_keys k using (tenant_id)
         where k.state = 'active';
    end loop;
    first := last + 1;
  end loop;
end
$$;

reset role;
