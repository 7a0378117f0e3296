-- The ledger: one append-only log a tenant.
--
-- The tenant's id names its log everywhere but in the outside world, where its origin
-- does. The bytes of a record are what is hashed; all other columns of an entry are an
-- index, and verification compares them with the bytes.
--
-- Rights, row security and triggers prevent; a superuser can switch all of them off.
-- What detects is a checkpoint that somebody else holds.

do $$
declare
  wanted text;
begin
  foreach wanted in array array[
    'sluice_ledger_writer nologin nobypassrls', -- appends
    'sluice_ledger_signer nologin nobypassrls', -- reads logs, keeps checkpoints
    'sluice_checkpointer login noinherit nobypassrls' -- a process and a key of its own
  ] loop
    begin
      execute 'create role ' || wanted;
    exception when duplicate_object or unique_violation then
      null; -- another database of this cluster made it
    end;
  end loop;
end
$$;

grant sluice_ledger_writer to sluice_worker; -- which runs the consumer group audit
grant sluice_ledger_signer, sluice_finder, sluice_ledger_writer -- for the root log
  to sluice_checkpointer;
grant usage on schema auth, sluice to sluice_ledger_writer, sluice_ledger_signer;

set local role sluice_owner;

create table sluice.ledger_log (
  tenant_id uuid primary key default auth.tenant_id(),
  origin text not null unique, -- random, so that no tenant learns of another by it
  opened_at timestamptz not null default now()
);

-- The end of each log, locked by whoever appends. A table of its own: locking needs
-- the right to update, and entries are never granted it.
create table sluice.ledger_head (
  tenant_id uuid primary key default auth.tenant_id() references sluice.ledger_log,
  size bigint not null,
  last_hash bytea not null check (octet_length(last_hash) = 32),
  range bytea not null check (octet_length(range) = 32 * bit_count(int8send(size)))
);

create table sluice.ledger_entry (
  tenant_id uuid not null default auth.tenant_id() references sluice.ledger_log,
  seq bigint not null check (seq >= 0),
  event_id uuid not null,
  request_id uuid,
  action text not null,
  actor text not null,
  ts timestamptz not null,
  body bytea not null check (octet_length(body) <= 32768),
  leaf_hash bytea not null check (octet_length(leaf_hash) = 32),
  primary key (tenant_id, seq),
  unique (tenant_id, event_id)
);

create index ledger_entry_of_request on sluice.ledger_entry (tenant_id, request_id)
  where request_id is not null;
-- Each accepted request ends once; a second end is recorded as an incident.
create unique index ledger_entry_end_of_request
  on sluice.ledger_entry (tenant_id, request_id)
  where action in ('request.completed', 'request.blocked', 'request.failed');

-- Full tiles alone: 256 hashes each. `root` is the hash one level above.
create table sluice.ledger_tile (
  tenant_id uuid not null default auth.tenant_id() references sluice.ledger_log,
  level smallint not null check (level between 0 and 5),
  n bigint not null check (n >= 0),
  hashes bytea not null check (octet_length(hashes) = 8192),
  root bytea not null check (octet_length(root) = 32),
  primary key (tenant_id, level, n)
);

create table sluice.ledger_checkpoint (
  tenant_id uuid not null default auth.tenant_id() references sluice.ledger_log,
  size bigint not null check (size > 0),
  note text not null,
  signed_at timestamptz not null,
  -- Where the root log commits to this note, and what opens that commitment.
  root_salt bytea check (octet_length(root_salt) = 32),
  root_seq bigint check ((root_seq is null) = (root_salt is null)),
  primary key (tenant_id, size)
);

-- How far the topics were read into the log: evidence, not what a consumer starts from.
create table sluice.ledger_source (
  topic text not null,
  partition integer not null,
  next_offset bigint not null,
  primary key (topic, partition)
);

do $$
declare
  fenced text;
  readers constant text :=
    'sluice_tenant, sluice_ledger_writer, sluice_ledger_signer';
begin
  foreach fenced in array array[
    'ledger_log', 'ledger_head', 'ledger_entry', 'ledger_tile', 'ledger_checkpoint'
  ] loop
    execute format('alter table sluice.%I enable row level security', fenced);
    execute format('alter table sluice.%I force row level security', fenced);
    execute format(
      'create policy tenant_fence on sluice.%I to %s
         using (tenant_id = (select current_setting(''sluice.tenant_id'', true)::uuid))
         with check
           (tenant_id = (select current_setting(''sluice.tenant_id'', true)::uuid))',
      fenced, readers);
    execute format(
      'create policy tenant_floor on sluice.%I as restrictive to %s
         using (tenant_id = (select auth.tenant_id()))
         with check (tenant_id = (select auth.tenant_id()))',
      fenced, readers);
    execute format('grant select on sluice.%I to %s', fenced, readers);
  end loop;
end
$$;

grant insert on sluice.ledger_log, sluice.ledger_head, sluice.ledger_entry,
  sluice.ledger_tile to sluice_ledger_writer;
grant update on sluice.ledger_head to sluice_ledger_writer;
grant select, insert, update on sluice.ledger_source to sluice_ledger_writer;
grant insert on sluice.ledger_checkpoint to sluice_ledger_signer;

-- Which logs there are, and how long: the checkpointer and the full pass must know.
create policy any_log on sluice.ledger_log for select to sluice_finder using (true);
grant select (tenant_id, origin) on sluice.ledger_log to sluice_finder;
create policy any_head on sluice.ledger_head for select to sluice_finder using (true);
grant select (tenant_id, size) on sluice.ledger_head to sluice_finder;

create function sluice.ledger_refuse() returns trigger
  language plpgsql set search_path = pg_catalog
as $$
begin
  raise exception 'the ledger is append-only' using errcode = 'insufficient_privilege';
end
$$;

create function sluice.ledger_grow() returns trigger
  language plpgsql set search_path = pg_catalog
as $$
begin
  if new.tenant_id <> old.tenant_id or new.size <= old.size then
    raise exception 'a log only grows' using errcode = 'insufficient_privilege';
  end if;
  return new;
end
$$;

-- ALWAYS: also under session_replication_role = replica.
do $$
declare
  kept text;
begin
  foreach kept in array array[
    'ledger_log', 'ledger_head', 'ledger_entry', 'ledger_tile', 'ledger_checkpoint'
  ] loop
    execute format(
      'create trigger append_only before %s on sluice.%I
         for each row execute function sluice.ledger_refuse()',
      case kept when 'ledger_head' then 'delete' else 'update or delete' end, kept);
    execute format(
      'create trigger no_truncate before truncate on sluice.%I
         for each statement execute function sluice.ledger_refuse()', kept);
    execute format('alter table sluice.%I enable always trigger append_only', kept);
    execute format('alter table sluice.%I enable always trigger no_truncate', kept);
  end loop;
end
$$;

create trigger only_grows before update on sluice.ledger_head
  for each row execute function sluice.ledger_grow();
alter table sluice.ledger_head enable always trigger only_grows;

-- From here on: one call a batch over all its tenants, with the rights of the caller.
-- A batch comes sorted by tenant, so that two batches lock heads in the same order;
-- `counts` says how many of the arrays' members are each tenant's.

-- Lock the heads; say what the logs hold already of the batch. `ends` has the request
-- id of each event that ends a request, null for the others. A tenant without a log
-- gets one, of the origin that is proposed for it.
create function sluice.ledger_open(
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
       and e.action in ('request.completed', 'request.blocked', 'request.failed');
    return next;
    first := last + 1;
  end loop;
end
$$;

-- Add records behind heads that `ledger_open` locked in this transaction. `tile_levels`,
-- `tile_ns` and `tile_roots` name the tiles that fill; their hashes are read here.
create function sluice.ledger_append(
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
      (seq, event_id, request_id, action, actor, ts, body, leaf_hash)
      select sizes[place] - counts[place] + n.at - 1, n.event_id, n.request_id,
             n.action, n.actor, n.ts, n.body, n.leaf
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

create function sluice.ledger_fill(
  tenant uuid, tile_level smallint, tile_n bigint, tile_root bytea
) returns void
  language plpgsql volatile
as $$
begin
  insert into sluice.ledger_tile (level, n, hashes, root)
    select tile_level, tile_n, string_agg(below.hash, ''::bytea order by below.place),
           tile_root
      from (
        select e.leaf_hash, e.seq from sluice.ledger_entry e
         where tile_level = 0 and e.tenant_id = tenant
           and e.seq >= tile_n * 256 and e.seq < (tile_n + 1) * 256
        union all
        select t.root, t.n from sluice.ledger_tile t
         where t.tenant_id = tenant and t.level = tile_level - 1
           and t.n >= tile_n * 256 and t.n < (tile_n + 1) * 256
      ) below (hash, place);
end
$$;

revoke execute on function
  sluice.ledger_open, sluice.ledger_append, sluice.ledger_fill,
  sluice.ledger_refuse, sluice.ledger_grow
  from public;
grant execute on function
  sluice.ledger_open, sluice.ledger_append, sluice.ledger_fill
  to sluice_ledger_writer;

grant execute on function auth.become to sluice_ledger_writer;

reset role;
