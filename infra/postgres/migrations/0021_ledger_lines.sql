-- A batch is all new but where it comes again: what the log holds of it is asked for only
-- once a unique index said that something is there. The functions as they were stay, for
-- workers of the version before.
--
-- A batch's columns as text, a line a record, and its leaves one behind the other: an
-- array's elements one by one cost the client more than the whole of what is stored.

set local role sluice_owner;

create function sluice.ledger_open(tenants uuid[], origins text[]) returns table (
  tenant uuid, origin text, size bigint, last_hash bytea, range bytea, closed boolean
)
  language plpgsql volatile
  set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
#variable_conflict use_column
declare
  claims text;
begin
  for place in 1 .. cardinality(tenants) loop
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
        return next;
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
    closed := exists (select from sluice.ledger_entry e
                       where e.tenant_id = tenant and e.action = 'log.closed');
    return next;
  end loop;
end
$$;

-- Of a batch whose logs are open: what they hold under its ids, and which of its
-- requests ended.
create function sluice.ledger_known(
  tenants uuid[], counts integer[], event_ids uuid[], ends uuid[]
) returns table (ids uuid[], bodies bytea[], ended uuid[])
  language plpgsql volatile
  set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
  first integer := 1;
  last integer;
  claims text;
begin
  for place in 1 .. cardinality(tenants) loop
    last := first + counts[place] - 1;
    claims := auth.become(tenants[place]);
    select array_agg(e.event_id), array_agg(e.body) into ids, bodies
      from sluice.ledger_entry e
     where e.tenant_id = tenants[place] and e.event_id = any (event_ids[first:last]);
    select array_agg(e.request_id) into ended
      from sluice.ledger_entry e
     where e.tenant_id = tenants[place] and e.request_id = any (ends[first:last])
       and e.action in ('request.completed', 'request.blocked',
                        'request.failed', 'request.cancelled');
    return next;
    first := last + 1;
  end loop;
end
$$;

-- No value has a line feed in it: ids, names and times have none, and a record's
-- canonical bytes write it otherwise. Absent is "-".
create function sluice.ledger_append_lines(
  tenants uuid[], counts integer[], sizes bigint[], last_hashes bytea[],
  ranges bytea[], event_ids text, request_ids text, actions text, actors text,
  times text, bodies text, leaves bytea, tile_counts integer[],
  tile_levels smallint[], tile_ns bigint[], tile_roots bytea[]
) returns void
  language plpgsql volatile
as $$
declare
  feed constant text := E'\n';
  ids constant text[] := string_to_array(event_ids, feed);
  of_requests constant text[] := string_to_array(request_ids, feed, '-');
  done constant text[] := string_to_array(actions, feed);
  who constant text[] := string_to_array(actors, feed);
  at_times constant text[] := string_to_array(times, feed);
  lines constant text[] := string_to_array(bodies, feed);
  total constant bigint := (select sum(n) from unnest(counts) n);
  first integer := 1;
  last integer;
  claims text;
  tile integer := 1;
begin
  if total <> any (array[cardinality(ids), cardinality(of_requests),
                         cardinality(done), cardinality(who), cardinality(at_times),
                         cardinality(lines), length(leaves) / 32]) then
    raise exception 'expected a line a record' using errcode = 'data_exception';
  end if;
  for place in 1 .. cardinality(tenants) loop
    last := first + counts[place] - 1;
    claims := auth.become(tenants[place]);
    insert into sluice.ledger_entry
      (tenant_id, seq, event_id, request_id, action, actor, ts, body, leaf_hash)
      select tenants[place], sizes[place] - counts[place] + n.at - 1, n.id::uuid,
             n.request_id::uuid, n.action, n.actor, n.ts::timestamptz,
             convert_to(n.line, 'UTF8'),
             substring(leaves from 32 * (first + n.at::integer - 2) + 1 for 32)
        from unnest(ids[first:last], of_requests[first:last], done[first:last],
                    who[first:last], at_times[first:last], lines[first:last])
             with ordinality n (id, request_id, action, actor, ts, line, at);
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

revoke all on function
  sluice.ledger_open(uuid[], text[]),
  sluice.ledger_known(uuid[], integer[], uuid[], uuid[])
  from public;
grant execute on function
  sluice.ledger_open(uuid[], text[]),
  sluice.ledger_known(uuid[], integer[], uuid[], uuid[])
  to sluice_ledger_writer;
revoke all on function sluice.ledger_append_lines(
  uuid[], integer[], bigint[], bytea[], bytea[], text, text, text, text, text, text,
  bytea, integer[], smallint[], bigint[], bytea[]) from public;
grant execute on function sluice.ledger_append_lines(
  uuid[], integer[], bigint[], bytea[], bytea[], text, text, text, text, text, text,
  bytea, integer[], smallint[], bigint[], bytea[]) to sluice_ledger_writer;

reset role;
