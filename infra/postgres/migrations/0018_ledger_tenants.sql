-- What a batch asks for each tenant: fewer statements, and none planned anew.

set local role sluice_owner;

-- Its body is bound to what it names when it is created, so it needs no search path; and
-- without settings of its own it is planned as a part of whatever calls it.
create or replace function auth.tenant_id() returns uuid
  language sql stable
  return (nullif(current_setting('request.jwt.claims', true), '')::jsonb
          ->> 'tenant_id')::uuid;

-- As before; and answers the claims, so that it is called by an assignment, not a query.
drop function auth.become(uuid);
create function auth.become(tenant uuid) returns text
  language plpgsql volatile set search_path = pg_catalog
as $$
declare
  fence constant text := set_config('sluice.tenant_id', tenant::text, true);
begin
  return set_config('request.jwt.claims',
                    json_build_object('tenant_id', tenant)::text, true);
end
$$;

revoke all on function auth.become(uuid) from public;
grant execute on function auth.become(uuid)
  to sluice_tenant, sluice_ledger_writer, sluice_ledger_deleter;

create or replace function sluice.ledger_open_only() returns trigger
  language plpgsql set search_path = pg_catalog
as $$
declare
  tenant constant uuid := auth.tenant_id();
  known boolean;
  closed boolean;
begin
  select exists (select from sluice.ledger_log l where l.tenant_id = tenant),
         exists (select from sluice.ledger_entry e
                  where e.tenant_id = tenant and e.action = 'log.closed')
    into known, closed;
  if tenant is not null and not known then
    raise exception 'expected the log of the tenant'
      using errcode = 'foreign_key_violation';
  end if;
  if closed then
    raise exception 'the log is closed' using errcode = 'insufficient_privilege';
  end if;
  return null;
end
$$;

-- As before. All is looked for by key, whatever the sizes of the batch and of the tables:
-- one plan serves, and to plan for each tenant cost more than what was planned.
create or replace function sluice.ledger_open(
  tenants uuid[], origins text[], counts integer[], event_ids uuid[], ends uuid[]
) returns table (
  tenant uuid, origin text, size bigint, last_hash bytea, range bytea,
  known_ids uuid[], known_bodies bytea[], ended uuid[], closed boolean
)
  language plpgsql volatile
  set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
#variable_conflict use_column
declare
  first integer := 1;
  last integer;
  claims text;
begin
  for place in 1 .. cardinality(tenants) loop
    last := first + counts[place] - 1;
    claims := auth.become(tenants[place]);
    tenant := tenants[place];
    select l.origin, h.size, h.last_hash, h.range
      into origin, size, last_hash, range
      from sluice.ledger_head h join sluice.ledger_log l using (tenant_id)
     where h.tenant_id = tenant for update of h;
    if not found then
      select d.origin, 0, sha256(''::bytea), ''::bytea, true
        into origin, size, last_hash, range, closed
        from sluice.ledger_deleted d where d.tenant_id = tenant;
      if found then
        known_ids := null; known_bodies := null; ended := null;
        return next;
        first := last + 1;
        continue;
      end if;
      insert into sluice.ledger_log (origin) values (origins[place])
        on conflict do nothing;
      insert into sluice.ledger_head (size, last_hash, range)
        select 0, sha256(convert_to(E'ledger-genesis/v1\n' || l.origin, 'UTF8')), ''
          from sluice.ledger_log l where l.tenant_id = tenant
        on conflict do nothing;
      select l.origin, h.size, h.last_hash, h.range
        into strict origin, size, last_hash, range
        from sluice.ledger_head h join sluice.ledger_log l using (tenant_id)
       where h.tenant_id = tenant for update of h;
    end if;
    -- Behind the lock, in a statement of its own: it sees what was committed meanwhile.
    select k.ids, k.bodies,
           (select array_agg(e.request_id)
              from sluice.ledger_entry e
             where e.tenant_id = tenant and e.request_id = any (ends[first:last])
               and e.action in ('request.completed', 'request.blocked',
                                'request.failed', 'request.cancelled')),
           exists (select from sluice.ledger_entry e
                    where e.tenant_id = tenant and e.action = 'log.closed')
      into known_ids, known_bodies, ended, closed
      from (select array_agg(e.event_id), array_agg(e.body)
              from sluice.ledger_entry e
             where e.tenant_id = tenant and e.event_id = any (event_ids[first:last])
           ) k (ids, bodies);
    return next;
    first := last + 1;
  end loop;
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
  claims text;
  tile integer := 1;
begin
  for place in 1 .. cardinality(tenants) loop
    last := first + counts[place] - 1;
    claims := auth.become(tenants[place]);
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
