-- A rewrite copies what some transaction may still see: one that began before a deletion
-- (a dump, a forgotten session, a replication slot) keeps the deleted bytes also in the
-- new file. So the list of remains knows who deleted last, and such a partition stays
-- on it.

set local role sluice_keystore_owner;

alter table keystore.remains
  add column deleted_by xid8 not null default pg_current_xact_id();

create or replace function keystore.remember_remains() returns trigger
  language plpgsql
as $$
begin
  insert into keystore.remains as r (class, day)
    select distinct class, day from deleted where class > 0
    -- Moved on: a deletion behind a rewrite must outlive that rewrite's tidying. Who
    -- comes second here may have begun first.
    on conflict on constraint remains_pkey do update
      set since = clock_timestamp(),
          deleted_by = greatest(r.deleted_by, excluded.deleted_by);
  return null;
end
$$;

-- Whether what this transaction deleted is seen by nobody any more, nor by whoever comes:
-- snapshots reach back to the oldest transaction that runs, in whichever database. An id
-- that is still to come is that of a cluster from which this one was restored.
create function keystore.unseen(deleted_by xid8) returns boolean
  language sql volatile
begin atomic
  select deleted_by >= pg_snapshot_xmax(pg_current_snapshot()) or not exists (
    select from (
      select backend_xid from pg_stat_activity where pid <> pg_backend_pid()
      union all
      select backend_xmin from pg_stat_activity
       where pid <> pg_backend_pid()
         and (datid is null or datname = current_database())
      union all
      select transaction from pg_prepared_xacts
      union all
      select xmin from pg_replication_slots
    ) held (by)
    where age(held.by) >= age(deleted_by::xid)
  );
end;

revoke execute on function keystore.unseen from public;

reset role;
