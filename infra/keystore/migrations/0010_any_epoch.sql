-- A key that was wrapped under the present version is kept whatever the epoch. That rises
-- with each request that is erased, so that whoever looked before and inserted behind it
-- was refused, twice in a row where many are erased, and with it everybody in its batch.
-- An older epoch of the present version is the same key; what was destroyed meanwhile is
-- known by its id, and the end of a tenant by its state.

set local role sluice_keystore_owner;

create or replace function keystore.dek_create(
  tenants uuid[], counts integer[], epochs bigint[], versions integer[],
  ids bytea[], requests uuid[], subjects bytea[], wraps bytea[]
) returns table (refused bytea, verdict text)
  language plpgsql volatile
as $$
declare
  first integer := 1;
  last integer;
  stands keystore.tenant_keys;
begin
  for place in 1 .. cardinality(tenants) loop
    last := first + counts[place] - 1;
    perform keystore.act_as(tenants[place]);
    select * into stands from keystore.tenant_keys k
      where k.tenant_id = tenants[place];
    if not found or stands.state <> 'active' then
      return query select id, 'gone' from unnest(ids[first:last]) id;
    elsif stands.version <> versions[place] then
      return query select id, 'stale' from unnest(ids[first:last]) id;
    else
      insert into keystore.dek
        (day, class, key_id, request_id, subject, kek_version, wrapped)
        select keystore.day_of(n.id), keystore.class_of(n.id), n.id,
               n.request, n.subject, versions[place], n.wrapped
          from unnest(ids[first:last], requests[first:last], subjects[first:last],
                      wraps[first:last]) n (id, request, subject, wrapped)
         where not exists (select from keystore.destroyed d
                            where d.tenant_id = tenants[place] and d.key_id = n.id)
        on conflict do nothing;
      return query select d.key_id, 'gone' from keystore.destroyed d
        where d.tenant_id = tenants[place] and d.key_id = any (ids[first:last]);
      if found and exists (
        select from unnest(ids[first:last]) n (id)
          join keystore.destroyed d
            on d.tenant_id = tenants[place] and d.key_id = n.id
          join keystore.dek k
            on k.day = keystore.day_of(n.id) and k.class = keystore.class_of(n.id)
           and k.key_id = n.id and k.xmin = pg_current_xact_id()::xid
      ) then
        raise exception 'destroyed meanwhile' using errcode = 'serialization_failure';
      end if;
    end if;
    first := last + 1;
  end loop;
end
$$;

reset role;
