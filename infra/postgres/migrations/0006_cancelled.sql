-- A request may also end because its caller cancelled it.

set local role sluice_owner;

drop index sluice.ledger_entry_end_of_request;
create unique index ledger_entry_end_of_request
  on sluice.ledger_entry (tenant_id, request_id)
  where action in ('request.completed', 'request.blocked', 'request.failed',
                   'request.cancelled');

create or replace function sluice.ledger_open(
  tenants uuid[], origins text[], counts integer[], event_ids uuid[], ends uuid[]
) returns table (
  tenant uuid, origin text, size bigint, last_hash bytea, range bytea,
  known_ids uuid[], known_bodies bytea[], ended uuid[]
)
  language plpgsql volatile
as $$
#variable_conflict use_column
declare
  first integer := 1;
  last integer;
begin
  for place in 1 .. cardinality(tenants) loop
    last := first + counts[place] - 1;
    perform auth.become(tenants[place]);
    tenant := tenants[place];
    perform from sluice.ledger_head h where h.tenant_id = tenant for update;
    if not found then
      insert into sluice.ledger_log (origin) values (origins[place])
        on conflict do nothing;
      insert into sluice.ledger_head (size, last_hash, range)
        select 0, sha256(convert_to(E'ledger-genesis/v1\n' || l.origin, 'UTF8')), ''
          from sluice.ledger_log l where l.tenant_id = tenant
        on conflict do nothing;
    end if;
    select l.origin, h.size, h.last_hash, h.range
      into strict origin, size, last_hash, range
      from sluice.ledger_head h join sluice.ledger_log l using (tenant_id)
     where h.tenant_id = tenant for update of h;
    select array_agg(e.event_id), array_agg(e.body) into known_ids, known_bodies
      from sluice.ledger_entry e
     where e.tenant_id = tenant and e.event_id = any (event_ids[first:last]);
    select array_agg(e.request_id) into ended
      from sluice.ledger_entry e
     where e.tenant_id = tenant and e.request_id = any (ends[first:last])
       and e.action in ('request.completed', 'request.blocked', 'request.failed',
                        'request.cancelled');
    return next;
    first := last + 1;
  end loop;
end
$$;

reset role;
