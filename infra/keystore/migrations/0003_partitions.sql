-- Days of keys: made ahead, detached without a wait, dropped; and the list of those
-- that must be rewritten, because a deleted row's bytes stay in the file until then.

set local role sluice_keystore_owner;

-- Which partitions hold the remains of deleted keys. It says nothing of any tenant.
create table keystore.remains (
  class smallint not null,
  day date not null,
  since timestamptz not null default clock_timestamp(),
  primary key (class, day)
);

grant insert, select, update on keystore.remains to sluice_keystore_tenant;

create function keystore.remember_remains() returns trigger
  language plpgsql
as $$
begin
  insert into keystore.remains (class, day)
    select distinct class, day from deleted where class > 0
    -- Moved on: a deletion behind a rewrite must outlive that rewrite's tidying.
    on conflict on constraint remains_pkey do update set since = clock_timestamp();
  return null;
end
$$;

-- Transient keys (class 0) are left out: their partition is gone the next day.
create trigger remains after delete on keystore.dek
  referencing old table as deleted
  for each statement execute function keystore.remember_remains();

-- Make a day of keys of a class; false where it is there. A table that is made first and
-- attached then never locks its parent against readers and writers, which CREATE TABLE
-- ... PARTITION OF does.
create function keystore.partition_add(wanted_class smallint, wanted_day date)
  returns boolean
  language plpgsql volatile
as $$
declare
  parent text := format('dek_%s', wanted_class);
  child text := format('dek_%s_%s', wanted_class, to_char(wanted_day, 'YYYYMMDD'));
begin
  perform set_config('role', 'sluice_keystore_owner', true),
          set_config('lock_timeout', '2s', true),
          pg_advisory_xact_lock(hashtext('keystore.partition_add'));
  if to_regclass('keystore.' || child) is not null then
    return false;
  end if;
  execute format('create table keystore.%I (like keystore.%I including defaults
                    including constraints including indexes)', child, parent);
  execute format('alter table keystore.%I add constraint its_day
                    check (day is not null and day = %L),
                    enable row level security, force row level security',
                 child, wanted_day);
  execute format('alter table keystore.%I attach partition keystore.%I
                    for values in (%L)', parent, child, wanted_day);
  execute format('alter table keystore.%I drop constraint its_day', child);
  return true;
end
$$;

-- Every day of keys that is there, also one whose detaching was cut short (pending) or
-- that was detached but not dropped; and the statements that take the next step.
create function keystore.partitions()
  returns table (class smallint, day date, detach text, finalize text, retire text,
                 rewrite text)
  language sql stable
begin atomic
  select p.class, p.day,
         case when i.inhdetachpending is false then
           format('alter table keystore.%I detach partition keystore.%I concurrently',
                  'dek_' || p.class, p.name) end,
         case when i.inhdetachpending then
           format('alter table keystore.%I detach partition keystore.%I finalize',
                  'dek_' || p.class, p.name) end,
         format('drop table keystore.%I', p.name),
         format('vacuum (full) keystore.%I', p.name)
    from (
      select c.oid, c.relname as name,
             split_part(c.relname, '_', 2)::smallint as class,
             to_date(split_part(c.relname, '_', 3), 'YYYYMMDD') as day
        from pg_class c
       where c.relnamespace = 'keystore'::regnamespace and c.relkind = 'r'
         and c.relname ~ '^dek_[0-9]+_[0-9]{8}$'
    ) p
    left join pg_inherits i on i.inhrelid = p.oid
   order by p.class, p.day;
end;

-- How many keys a detached day holds, by tenant. Its security is switched off first: the
-- owner has no policy, and nobody else has any right to it.
create function keystore.partition_counts(counted_class smallint, counted_day date)
  returns table (tenant_id uuid, keys bigint)
  language plpgsql volatile
as $$
declare
  child text := format('dek_%s_%s', counted_class, to_char(counted_day, 'YYYYMMDD'));
begin
  perform set_config('role', 'sluice_keystore_owner', true);
  execute format('alter table keystore.%I no force row level security', child);
  return query execute
    format('select tenant_id, count(*) from keystore.%I group by 1 order by 1', child);
end
$$;

revoke execute on all functions in schema keystore from public;
grant execute on function keystore.partition_add, keystore.partition_counts,
  keystore.partitions to sluice_keystore_keeper;
grant execute on function keystore.partitions to sluice_keystore_app;

reset role;
