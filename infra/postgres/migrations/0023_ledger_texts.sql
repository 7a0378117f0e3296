-- A batch's columns as one text a tenant, where they were one a batch: no array of the
-- whole is made and cut again. `ledger_append_lines` stays, for workers of the version
-- before. What is put together of hashes does not compress.

set local role sluice_owner;

-- In each text a line a record, and its leaves one behind the other. No value has a line
-- feed in it: ids, names and times have none, and a record's canonical bytes write it
-- otherwise. Absent is "-".
create function sluice.ledger_append_texts(
  tenants uuid[], counts integer[], sizes bigint[], last_hashes bytea[],
  ranges bytea[], event_ids text[], request_ids text[], actions text[], actors text[],
  times text[], bodies text[], leaves bytea[], tile_counts integer[],
  tile_levels smallint[], tile_ns bigint[], tile_roots bytea[]
) returns void
  language plpgsql volatile
as $$
declare
  feed constant text := E'\n';
  of_requests text[];
  stored integer;
  claims text;
  tile integer := 1;
begin
  for place in 1 .. cardinality(tenants) loop
    claims := auth.become(tenants[place]);
    of_requests := string_to_array(request_ids[place], feed, '-');
    insert into sluice.ledger_entry
      (tenant_id, seq, event_id, request_id, action, actor, ts, body, leaf_hash)
      select tenants[place], sizes[place] - counts[place] + n.at - 1, n.id::uuid,
             n.request_id::uuid, n.action, n.actor, n.ts::timestamptz,
             convert_to(n.line, 'UTF8'),
             substring(leaves[place] from 32 * (n.at::integer - 1) + 1 for 32)
        from unnest(string_to_array(event_ids[place], feed), of_requests,
                    string_to_array(actions[place], feed),
                    string_to_array(actors[place], feed),
                    string_to_array(times[place], feed),
                    string_to_array(bodies[place], feed))
             with ordinality n (id, request_id, action, actor, ts, line, at);
    get diagnostics stored = row_count;
    -- A line too few of another column is a null where none may be.
    if (stored, cardinality(of_requests), length(leaves[place]))
         is distinct from (counts[place], counts[place], 32 * counts[place]) then
      raise exception 'expected a line a record' using errcode = 'data_exception';
    end if;
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
    tile := tile + tile_counts[place];
  end loop;
end
$$;

revoke all on function sluice.ledger_append_texts(
  uuid[], integer[], bigint[], bytea[], bytea[], text[], text[], text[], text[], text[],
  text[], bytea[], integer[], smallint[], bigint[], bytea[]) from public;
grant execute on function sluice.ledger_append_texts(
  uuid[], integer[], bigint[], bytea[], bytea[], text[], text[], text[], text[], text[],
  text[], bytea[], integer[], smallint[], bigint[], bytea[]) to sluice_ledger_writer;

alter table sluice.ledger_tile alter column hashes set storage external;

reset role;
