-- What was asked row by row, and need be asked once a statement.
--
-- The default of `tenant_id` is a function with settings of its own, and the reference to
-- `ledger_log` a query: together they cost as much as the insert.

set local role sluice_owner;

alter table sluice.ledger_entry drop constraint ledger_entry_tenant_id_fkey;

-- Row security lets a row be of this tenant alone, so its log is looked for once. Whoever
-- is above row security names no tenant, and is asked nothing.
create or replace function sluice.ledger_open_only() returns trigger
  language plpgsql set search_path = pg_catalog
as $$
declare
  tenant constant uuid := auth.tenant_id();
begin
  if tenant is not null and not exists (
    select from sluice.ledger_log l where l.tenant_id = tenant
  ) then
    raise exception 'expected the log of the tenant'
      using errcode = 'foreign_key_violation';
  end if;
  if exists (select from sluice.ledger_entry e
              where e.tenant_id = tenant and e.action = 'log.closed') then
    raise exception 'the log is closed' using errcode = 'insufficient_privilege';
  end if;
  return null;
end
$$;

create or replace function sluice.ledger_append(
  tenants uuid[], counts integer[], sizes bigint[], last_hashes bytea[],
  ranges bytea[], event_ids uuid[], request_ids uuid[], actions text[], actors text[],
  times timestamptz[], bodies bytea[], leaves bytea[], tile_counts integer[],
  tile_levels smallint[], tile_ns bigint[], tile_roots bytea[]
) returns void
  language plpgsql volatile
as $$
declare
  first integer := 1;
  last integer;
  tile integer := 1;
begin
  for place in 1 .. cardinality(tenants) loop
    last := first + counts[place] - 1;
    perform auth.become(tenants[place]);
    insert into sluice.ledger_entry
      (tenant_id, seq, event_id, request_id, action, actor, ts, body, leaf_hash)
      select tenants[place], sizes[place] - counts[place] + n.at - 1, n.event_id,
             n.request_id, n.action, n.actor, n.ts, n.body, n.leaf
        from unnest(event_ids[first:last], request_ids[first:last],
                    actions[first:last], actors[first:last], times[first:last],
                    bodies[first:last], leaves[first:last]) with ordinality
             n (event_id, request_id, action, actor, ts, body, leaf, at);
    for filled in tile .. tile + tile_counts[place] - 1 loop
      perform sluice.ledger_fill(
        tenants[place], tile_levels[filled], tile_ns[filled], tile_roots[filled]);
    end loop;
    update sluice.ledger_head h
       set size = sizes[place], last_hash = last_hashes[place], range = ranges[place]
     where h.tenant_id = tenants[place] and h.size = sizes[place] - counts[place];
    if not found then
      raise exception 'another writer was here' using errcode = 'serialization_failure';
    end if;
    first := last + 1;
    tile := tile + tile_counts[place];
  end loop;
end
$$;

reset role;
