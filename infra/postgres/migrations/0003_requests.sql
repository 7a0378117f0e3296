-- Requests from acceptance to their one end, and the claims on provider calls.

set local role sluice_owner;

create table sluice.request (
  tenant_id uuid not null default auth.tenant_id() references sluice.tenant,
  id uuid not null,
  terms jsonb not null,
  fingerprint bytea not null check (octet_length(fingerprint) = 32),
  accepted_at timestamptz not null,
  deadline timestamptz not null,
  finished_at timestamptz,
  finished_by uuid,
  finished jsonb,
  primary key (tenant_id, id)
);
create index request_open on sluice.request (deadline) where finished_at is null;

create table sluice.provider_call (
  tenant_id uuid not null default auth.tenant_id(),
  request_id uuid not null,
  takes integer not null default 1,
  lease_until timestamptz not null,
  result bytea,
  primary key (tenant_id, request_id)
);

do $$
declare
  fenced text;
begin
  foreach fenced in array array['request', 'provider_call'] loop
    execute format('alter table sluice.%I enable row level security', fenced);
    execute format('alter table sluice.%I force row level security', fenced);
    execute format(
      'create policy tenant_fence on sluice.%I to sluice_tenant
         using (tenant_id = (select current_setting(''sluice.tenant_id'', true)::uuid))
         with check
           (tenant_id = (select current_setting(''sluice.tenant_id'', true)::uuid))',
      fenced);
    execute format(
      'create policy tenant_floor on sluice.%I as restrictive to sluice_tenant
         using (tenant_id = (select auth.tenant_id()))
         with check (tenant_id = (select auth.tenant_id()))', fenced);
    execute format(
      'grant select, insert, update, delete on sluice.%I to sluice_tenant', fenced);
  end loop;
end
$$;

-- The sweeper sees which tenants have requests past their deadline, and no more.
create policy due on sluice.request for select to sluice_finder
  using (finished_at is null and deadline < now());
grant select (tenant_id, deadline, finished_at) on sluice.request to sluice_finder;

-- Batches over many tenants come sorted by tenant; `counts` says how many each has.
-- Every function sets the role and both settings before a tenant's statements, and
-- runs with the rights of its caller.
create function sluice.act_as(tenant uuid) returns void
  language sql volatile
begin atomic
  select set_config('role', 'sluice_tenant', true),
         set_config('request.jwt.claims',
                    jsonb_build_object('tenant_id', tenant)::text, true),
         set_config('sluice.tenant_id', tenant::text, true);
end;

-- Insert requests; one answer each, in order: null where it is new, else what stands.
create function sluice.request_admit(
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
      select r.id, r.terms, r.fingerprint
        from sluice.request r
       where r.tenant_id = tenants[place] and r.id = any (ids[first:last])
         and r.id <> all (made);
    first := last + 1;
  end loop;
end
$$;

-- End requests, the first end wins; answers those whose end another event was.
create function sluice.request_finish(
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
        left join sluice.request stands
          on stands.id = n.id and stands.tenant_id = tenants[place]
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
        join sluice.request r on r.id = n.id and r.tenant_id = tenants[place]
       where r.finished_by <> n.event;
    first := last + 1;
  end loop;
end
$$;

-- Claim provider calls; one answer each: taken (also again), held, done, spent.
create function sluice.provider_take(
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
        select n.id, now() + lease from unnest(ids[first:last]) n (id) order by 1
      on conflict (tenant_id, request_id) do update
        set takes = c.takes + 1, lease_until = now() + lease
        where c.result is null and c.lease_until < now() and c.takes < 2
      returning c.request_id
    )
    select coalesce(array_agg(t.request_id), '{}') into mine from taken t;
    return query
      select c.request_id,
             case when c.result is not null then 'done'
                  when c.request_id = any (mine)
                  then case c.takes when 1 then 'taken' else 'again' end
                  when c.lease_until >= now() then 'held'
                  else 'spent' end,
             c.lease_until, c.result
        from sluice.provider_call c
       where c.tenant_id = tenants[place] and c.request_id = any (ids[first:last]);
    first := last + 1;
  end loop;
end
$$;

-- Keep results, the first wins; answers what stands.
create function sluice.provider_done(
  tenants uuid[], counts integer[], ids uuid[], results bytea[]
) returns table (id uuid, kept bytea)
  language plpgsql volatile
as $$
#variable_conflict use_column
declare
  first integer := 1;
  last integer;
begin
  for place in 1 .. cardinality(tenants) loop
    last := first + counts[place] - 1;
    perform sluice.act_as(tenants[place]);
    return query
      insert into sluice.provider_call as c (request_id, lease_until, result)
        select n.id, now(), n.result
          from unnest(ids[first:last], results[first:last]) n (id, result)
      on conflict (tenant_id, request_id) do update
        set result = coalesce(c.result, excluded.result)
      returning c.request_id, c.result;
    first := last + 1;
  end loop;
end
$$;

grant usage on schema sluice, auth to sluice_gateway, sluice_worker, sluice_operator;
