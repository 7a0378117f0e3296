-- The end of a log: closed by a last record, signed, and then deleted whole.
--
-- Of a deleted log its last record is kept, with the proof that it stands under the last
-- checkpoint, and where the root log commits to that. So a log that was deleted as it
-- may be is told from one that vanished, also by whoever does not believe this database.

do $$
begin
  create role sluice_ledger_deleter nologin nobypassrls;
exception when duplicate_object or unique_violation then
  null; -- another database of this cluster made it
end
$$;

grant sluice_ledger_deleter to sluice_operator;
grant usage on schema auth, sluice to sluice_ledger_deleter;

set local role sluice_owner;

-- A tenant that is frozen is admitted nothing; one that is closed has no log any more.
alter table sluice.tenant drop constraint tenant_state_check;
alter table sluice.tenant add constraint tenant_state_check
  check (state in ('active', 'frozen', 'closed'));

-- A log is closed once.
create unique index ledger_entry_closing on sluice.ledger_entry (tenant_id)
  where action = 'log.closed';

create table sluice.ledger_deleted (
  tenant_id uuid primary key default auth.tenant_id(),
  origin text not null unique,
  record bytea not null,
  proof text not null, -- c2sp.org/tlog-proof, with the last checkpoint
  root_salt bytea not null check (octet_length(root_salt) = 32),
  root_seq bigint not null,
  deleted_at timestamptz not null default now()
);

alter table sluice.ledger_deleted enable row level security;
alter table sluice.ledger_deleted force row level security;
create policy tenant_fence on sluice.ledger_deleted
  to sluice_tenant, sluice_ledger_writer, sluice_ledger_signer, sluice_ledger_deleter
  using (tenant_id = (select current_setting('sluice.tenant_id', true)::uuid))
  with check (tenant_id = (select current_setting('sluice.tenant_id', true)::uuid));
create policy tenant_floor on sluice.ledger_deleted as restrictive
  to sluice_tenant, sluice_ledger_writer, sluice_ledger_signer, sluice_ledger_deleter
  using (tenant_id = (select auth.tenant_id()))
  with check (tenant_id = (select auth.tenant_id()));
grant select on sluice.ledger_deleted
  to sluice_tenant, sluice_ledger_writer, sluice_ledger_signer;
grant select, insert on sluice.ledger_deleted to sluice_ledger_deleter;

-- Whoever looks whether a log vanished must know of all.
create policy any_deleted on sluice.ledger_deleted for select to sluice_finder
  using (true);
grant select on sluice.ledger_deleted to sluice_finder;

-- Behind the last record of a closed log nothing is put, and a deleted log is not begun
-- again. The first of these looks once a statement; the head, which alone says what
-- counts, looks at each step.
create function sluice.ledger_open_only() returns trigger
  language plpgsql set search_path = pg_catalog
as $$
begin
  if exists (select from sluice.ledger_entry e
              where e.tenant_id = (select auth.tenant_id())
                and e.action = 'log.closed') then
    raise exception 'the log is closed' using errcode = 'insufficient_privilege';
  end if;
  return null;
end
$$;

create function sluice.ledger_begin_once() returns trigger
  language plpgsql set search_path = pg_catalog
as $$
begin
  if exists (select from sluice.ledger_deleted d where d.tenant_id = new.tenant_id) then
    raise exception 'the log was deleted' using errcode = 'insufficient_privilege';
  end if;
  return new;
end
$$;

create or replace function sluice.ledger_grow() returns trigger
  language plpgsql set search_path = pg_catalog
as $$
begin
  if new.tenant_id <> old.tenant_id or new.size <= old.size then
    raise exception 'a log only grows' using errcode = 'insufficient_privilege';
  end if;
  if exists (select from sluice.ledger_entry e
              where e.tenant_id = new.tenant_id and e.action = 'log.closed'
                and e.seq < new.size - 1) then
    raise exception 'the log is closed' using errcode = 'insufficient_privilege';
  end if;
  return new;
end
$$;

-- What is kept of a log is what the log ends with, while it is there to be compared.
create function sluice.ledger_ended() returns trigger
  language plpgsql set search_path = pg_catalog
as $$
begin
  if not exists (
    select from sluice.ledger_log l
      join sluice.ledger_head h using (tenant_id)
      join sluice.ledger_entry e
        on e.tenant_id = h.tenant_id and e.seq = h.size - 1
      join sluice.ledger_checkpoint c
        on c.tenant_id = h.tenant_id and c.size = h.size
     where l.tenant_id = new.tenant_id and l.origin = new.origin
       and e.action = 'log.closed' and e.body = new.record
       and right(new.proof, length(c.note)) = c.note
       and c.root_salt = new.root_salt and c.root_seq = new.root_seq
  ) then
    raise exception 'expected a log that was closed and signed'
      using errcode = 'check_violation';
  end if;
  return new;
end
$$;

-- Nothing of a log is deleted before what is kept of it is kept.
create function sluice.ledger_release() returns trigger
  language plpgsql set search_path = pg_catalog
as $$
begin
  if not exists (select from sluice.ledger_deleted d
                  where d.tenant_id = old.tenant_id) then
    raise exception 'the ledger is append-only' using errcode = 'insufficient_privilege';
  end if;
  return old;
end
$$;

create trigger open_only before insert on sluice.ledger_entry
  for each statement execute function sluice.ledger_open_only();
alter table sluice.ledger_entry enable always trigger open_only;
create trigger begin_once before insert on sluice.ledger_log
  for each row execute function sluice.ledger_begin_once();
alter table sluice.ledger_log enable always trigger begin_once;
create trigger ended before insert on sluice.ledger_deleted
  for each row execute function sluice.ledger_ended();
alter table sluice.ledger_deleted enable always trigger ended;
create trigger append_only before update or delete on sluice.ledger_deleted
  for each row execute function sluice.ledger_refuse();
alter table sluice.ledger_deleted enable always trigger append_only;
create trigger no_truncate before truncate on sluice.ledger_deleted
  for each statement execute function sluice.ledger_refuse();
alter table sluice.ledger_deleted enable always trigger no_truncate;

do $$
declare
  kept text;
  fence text;
begin
  foreach kept in array array[
    'ledger_log', 'ledger_head', 'ledger_entry', 'ledger_tile', 'ledger_checkpoint',
    'ledger_anchor'
  ] loop
    execute format('drop trigger append_only on sluice.%I', kept);
    if kept <> 'ledger_head' then
      execute format(
        'create trigger append_only before update on sluice.%I
           for each row execute function sluice.ledger_refuse()', kept);
      execute format('alter table sluice.%I enable always trigger append_only', kept);
    end if;
    execute format(
      'create trigger whole before delete on sluice.%I
         for each row execute function sluice.ledger_release()', kept);
    execute format('alter table sluice.%I enable always trigger whole', kept);
    for fence in select unnest(array['tenant_fence', 'tenant_floor']) loop
      execute format(
        'alter policy %I on sluice.%I to sluice_tenant, sluice_ledger_signer, %s', fence,
        kept, case kept when 'ledger_anchor' then 'sluice_ledger_deleter'
                        else 'sluice_ledger_writer, sluice_ledger_deleter' end);
    end loop;
    execute format(
      'grant select, delete on sluice.%I to sluice_ledger_deleter', kept);
  end loop;
end
$$;

-- Delete a closed log whole, in the caller's transaction and with its rights.
create function sluice.ledger_delete(
  tenant uuid, log_origin text, last_record bytea, last_proof text,
  salt bytea, seq_in_root bigint
) returns void
  language plpgsql volatile
as $$
begin
  perform auth.become(tenant);
  insert into sluice.ledger_deleted (origin, record, proof, root_salt, root_seq)
    values (log_origin, last_record, last_proof, salt, seq_in_root);
  delete from sluice.ledger_anchor where tenant_id = tenant;
  delete from sluice.ledger_checkpoint where tenant_id = tenant;
  delete from sluice.ledger_tile where tenant_id = tenant;
  delete from sluice.ledger_entry where tenant_id = tenant;
  delete from sluice.ledger_head where tenant_id = tenant;
  delete from sluice.ledger_log where tenant_id = tenant;
end
$$;

-- As before, and whether the log is closed. A deleted one is an empty one that is.
drop function sluice.ledger_open;
create function sluice.ledger_open(
  tenants uuid[], origins text[], counts integer[], event_ids uuid[], ends uuid[]
) returns table (
  tenant uuid, origin text, size bigint, last_hash bytea, range bytea,
  known_ids uuid[], known_bodies bytea[], ended uuid[], closed boolean
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
    closed := exists (select from sluice.ledger_entry e
                       where e.tenant_id = tenant and e.action = 'log.closed');
    return next;
    first := last + 1;
  end loop;
end
$$;

revoke execute on function
  sluice.ledger_open, sluice.ledger_open_only, sluice.ledger_begin_once,
  sluice.ledger_ended, sluice.ledger_release, sluice.ledger_delete
  from public;
grant execute on function sluice.ledger_open to sluice_ledger_writer;
grant execute on function sluice.ledger_delete, auth.become to sluice_ledger_deleter;

reset role;
