-- A claim goes with its request's content. So whether a call was made is not told by the
-- claim alone: what has ended is called for no more, whatever a late repeat holds.

set local role sluice_owner;

create or replace function sluice.provider_take(
  tenants uuid[], counts integer[], ids uuid[], lease interval
) returns table (id uuid, verdict text, until timestamptz, kept bytea)
  language plpgsql volatile
as $$
#variable_conflict use_column
declare
  first integer := 1;
  last integer;
  mine uuid[];
begin
  for place in 1 .. cardinality(tenants) loop
    last := first + counts[place] - 1;
    perform sluice.act_as(tenants[place]);
    with taken as (
      insert into sluice.provider_call as c (request_id, lease_until)
        select n.id, now() + lease from unnest(ids[first:last]) n (id)
         where not exists (select from sluice.request r
                            where r.tenant_id = tenants[place] and r.id = n.id
                              and r.finished_at is not null)
         order by 1
      on conflict (tenant_id, request_id) do update
        set takes = c.takes + 1, lease_until = now() + lease
        where c.result is null and c.lease_until < now() and c.takes < 2
      returning c.request_id
    )
    select coalesce(array_agg(t.request_id), '{}') into mine from taken t;
    return query
      select n.id,
             case when c.result is not null then 'done'
                  when n.id = any (mine)
                  then case c.takes when 1 then 'taken' else 'again' end
                  when c.lease_until >= now() then 'held'
                  else 'spent' end,
             c.lease_until, c.result
        from unnest(ids[first:last]) n (id)
        left join sluice.provider_call c
          on c.tenant_id = tenants[place] and c.request_id = n.id;
    first := last + 1;
  end loop;
end
$$;

reset role;
