-- What a batch names is looked for by its whole key, one by one. In a table that was not
-- analysed yet - a new one, or one that grows fast - a join over the batch's ids was
-- planned as a walk over all that the tenant has.

set local role sluice_owner;

create or replace function sluice.request_admit(
  tenants uuid[], counts integer[], ids uuid[], terms jsonb[], fingerprints bytea[],
  accepted timestamptz[], deadlines timestamptz[]
) returns table (id uuid, known_terms jsonb, known_fingerprint bytea)
  language plpgsql volatile
as $$
#variable_conflict use_column
declare
  first integer := 1;
  last integer;
  made uuid[];
begin
  for place in 1 .. cardinality(tenants) loop
    last := first + counts[place] - 1;
    perform sluice.act_as(tenants[place]);
    with fresh as (
      insert into sluice.request (id, terms, fingerprint, accepted_at, deadline)
        select n.id, n.terms, n.fingerprint, n.accepted, n.deadline
          from unnest(ids[first:last], terms[first:last], fingerprints[first:last],
                      accepted[first:last], deadlines[first:last])
               n (id, terms, fingerprint, accepted, deadline)
         order by n.id
      on conflict do nothing
      returning request.id
    )
    select coalesce(array_agg(f.id), '{}') into made from fresh f;
    -- A statement of its own: it sees what another transaction inserted meanwhile.
    return query
      select n.id, r.terms, r.fingerprint
        from unnest(ids[first:last]) n (id)
       cross join lateral (
         select r.terms, r.fingerprint from sluice.request r
          where r.tenant_id = tenants[place] and r.id = n.id limit 1
       ) r
       where n.id <> all (made);
    first := last + 1;
  end loop;
end
$$;

create or replace function sluice.request_finish(
  tenants uuid[], counts integer[], ids uuid[], events uuid[], ended jsonb[],
  at timestamptz[]
) returns table (event uuid)
  language plpgsql volatile
as $$
declare
  first integer := 1;
  last integer;
begin
  for place in 1 .. cardinality(tenants) loop
    last := first + counts[place] - 1;
    perform sluice.act_as(tenants[place]);
    insert into sluice.request as r
      (id, terms, fingerprint, accepted_at, deadline, finished_at, finished_by, finished)
      select distinct on (n.id) n.id,
             coalesce(nullif(n.ended -> 'terms', 'null'), stands.terms),
             sha256(''), n.at, n.at, n.at, n.event, n.ended
        from unnest(ids[first:last], events[first:last], ended[first:last],
                    at[first:last]) with ordinality n (id, event, ended, at, nth)
        left join lateral (
          select r.id, r.terms from sluice.request r
           where r.tenant_id = tenants[place] and r.id = n.id limit 1
        ) stands on true
       -- An end that lost its terms ends what was admitted, and nothing else.
       where n.ended ->> 'terms' is not null or stands.id is not null
       order by n.id, n.nth
    on conflict (tenant_id, id) do update
      set finished_at = excluded.finished_at, finished_by = excluded.finished_by,
          finished = excluded.finished
      where r.finished_at is null;
    return query
      select n.event
        from unnest(ids[first:last], events[first:last]) n (id, event)
       cross join lateral (
         select r.finished_by from sluice.request r
          where r.tenant_id = tenants[place] and r.id = n.id limit 1
       ) r
       where r.finished_by <> n.event;
    first := last + 1;
  end loop;
end
$$;

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
         where (select r.finished_at from sluice.request r
                 where r.tenant_id = tenants[place] and r.id = n.id) is null
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
        left join lateral (
          select c.result, c.takes, c.lease_until from sluice.provider_call c
           where c.tenant_id = tenants[place] and c.request_id = n.id limit 1
        ) c on true;
    first := last + 1;
  end loop;
end
$$;

reset role;
