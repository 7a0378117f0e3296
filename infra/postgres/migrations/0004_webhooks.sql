-- Webhooks: endpoints and their secrets; messages, their deliveries and the attempts.

set local role sluice_owner;

create table sluice.webhook_endpoint (
  tenant_id uuid not null default auth.tenant_id() references sluice.tenant,
  id uuid not null,
  environment text not null check (environment in ('live', 'test')),
  name text not null,
  url_sealed bytea not null, -- a path or a query may be a password
  event_types text[] not null,
  disabled_reason text,      -- null: enabled
  health jsonb not null default '{}',
  probing_until timestamptz, -- the breaker is half open, and this is its one probe
  created_at timestamptz not null,
  updated_at timestamptz not null,
  primary key (tenant_id, id)
);

create table sluice.webhook_secret (
  tenant_id uuid not null default auth.tenant_id(),
  id uuid not null,
  endpoint_id uuid not null,
  key_sealed bytea not null,
  hint text not null,
  created_at timestamptz not null,
  not_after timestamptz, -- null: the current one
  primary key (tenant_id, id),
  foreign key (tenant_id, endpoint_id)
    references sluice.webhook_endpoint (tenant_id, id) on delete cascade
);
create index webhook_secret_of on sluice.webhook_secret (tenant_id, endpoint_id);

create table sluice.webhook_message (
  tenant_id uuid not null default auth.tenant_id(),
  id text not null,
  environment text not null,
  kind text not null,
  body bytea not null, -- ids and words of ours: there is nothing to seal
  created_at timestamptz not null,
  primary key (tenant_id, id)
);
create index webhook_message_age on sluice.webhook_message (tenant_id, created_at);

create table sluice.webhook_delivery (
  tenant_id uuid not null default auth.tenant_id(),
  id uuid not null default gen_random_uuid(),
  message_id text not null,
  endpoint_id uuid not null,
  state text not null check (state in
    ('due', 'delivered', 'exhausted', 'skipped', 'erased')),
  attempt smallint not null default 1,
  next_attempt_at timestamptz not null, -- swept from then on, unless it is leased
  lease_until timestamptz,
  primary key (tenant_id, id),
  unique (tenant_id, message_id, endpoint_id),
  foreign key (tenant_id, message_id)
    references sluice.webhook_message (tenant_id, id) on delete cascade,
  foreign key (tenant_id, endpoint_id)
    references sluice.webhook_endpoint (tenant_id, id) on delete cascade
);
create index webhook_delivery_due on sluice.webhook_delivery (next_attempt_at)
  where state = 'due';
create index webhook_delivery_to on sluice.webhook_delivery (tenant_id, endpoint_id);

create table sluice.webhook_attempt (
  tenant_id uuid not null default auth.tenant_id(),
  delivery_id uuid not null,
  n smallint not null,
  started_at timestamptz not null,
  ms integer not null,
  status smallint,  -- null: there was no response
  error text,
  primary key (tenant_id, delivery_id, started_at),
  foreign key (tenant_id, delivery_id)
    references sluice.webhook_delivery (tenant_id, id) on delete cascade
);

do $$
declare
  fenced text;
begin
  foreach fenced in array array['webhook_endpoint', 'webhook_secret', 'webhook_message',
                                'webhook_delivery', 'webhook_attempt'] loop
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

-- The sweeper sees which tenants have deliveries due, and no more.
create policy due on sluice.webhook_delivery for select to sluice_finder
  using (state = 'due');
grant select (tenant_id, state, next_attempt_at, lease_until)
  on sluice.webhook_delivery to sluice_finder;

-- Keep messages and one delivery for each endpoint that wants them; answers the
-- deliveries that nobody tried yet, also those of messages that were kept before.
create function sluice.webhook_announce(
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
