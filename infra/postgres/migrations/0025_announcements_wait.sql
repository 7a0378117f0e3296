-- An endpoint that is being deleted is waited for, and passed over once it is gone: the
-- announcement of a whole batch, of all its tenants, failed by its foreign key.

set local role sluice_owner;

create or replace function sluice.webhook_announce(
  tenants uuid[], counts integer[], ids text[], environments text[], kinds text[],
  bodies bytea[], at timestamptz[], swept_from interval
) returns table (tenant uuid, delivery uuid, endpoint uuid, message text)
  language plpgsql volatile
as $$
declare
  first integer := 1;
  last integer;
begin
  for place in 1 .. cardinality(tenants) loop
    last := first + counts[place] - 1;
    perform sluice.act_as(tenants[place]);
    insert into sluice.webhook_message (id, environment, kind, body, created_at)
      select m.id, m.environment, m.kind, m.body, m.at
        from unnest(ids[first:last], environments[first:last], kinds[first:last],
                    bodies[first:last], at[first:last]) m (id, environment, kind, body, at)
       where exists (select from sluice.webhook_endpoint e
                      where e.tenant_id = tenants[place]
                        and e.environment = m.environment and m.kind = any (e.event_types))
       order by m.id
    on conflict do nothing;
    insert into sluice.webhook_delivery
      (message_id, endpoint_id, state, next_attempt_at)
      select m.id, e.id,
             case when e.disabled_reason is null then 'due' else 'skipped' end,
             now() + swept_from
        from sluice.webhook_message m
        join sluice.webhook_endpoint e
          on e.tenant_id = m.tenant_id and e.environment = m.environment
         and m.kind = any (e.event_types)
       where m.tenant_id = tenants[place] and m.id = any (ids[first:last])
         -- An endpoint that was made later is not told of what was before it.
         and e.created_at <= m.created_at
       order by m.id, e.id
         for key share of e
    on conflict do nothing;
    return query
      select d.tenant_id, d.id, d.endpoint_id, d.message_id
        from sluice.webhook_delivery d
       where d.tenant_id = tenants[place] and d.message_id = any (ids[first:last])
         and d.state = 'due' and d.attempt = 1 and d.lease_until is null;
    first := last + 1;
  end loop;
end
$$;

reset role;
