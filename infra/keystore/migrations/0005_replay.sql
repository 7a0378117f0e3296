-- Destroy keys once more that came back with an older backup.

set local role sluice_keystore_owner;

-- Which of `ids` were there; each gets a tombstone, and the epoch rises if any was.
create function keystore.dek_destroy_again(tenant uuid, ids bytea[])
  returns setof bytea
  language plpgsql volatile set plan_cache_mode = force_custom_plan
as $$
declare
  part record;
  raised bigint;
begin
  perform keystore.act_as(tenant);
  for part in
    select keystore.day_of(id) as day, keystore.class_of(id) as class,
           array_agg(id) as ids
      from unnest(ids) id group by 1, 2
  loop
    if exists (select from keystore.dek d where d.day = part.day
                and d.class = part.class and d.key_id = any (part.ids)) then
      update keystore.tenant_keys k set epoch = k.epoch + 1
       where k.tenant_id = tenant returning k.epoch into raised;
      return query
        with deleted as (
          delete from keystore.dek d
           where d.day = part.day and d.class = part.class
             and d.key_id = any (part.ids)
          returning d.key_id, d.request_id
        ), tombstones as (
          insert into keystore.destroyed (key_id, request_id, epoch)
          select d.key_id, d.request_id, raised from deleted d
          on conflict do nothing
        )
        select d.key_id from deleted d;
    end if;
  end loop;
end
$$;

revoke execute on function keystore.dek_destroy_again from public;
grant execute on function keystore.dek_destroy_again to sluice_keystore_keeper;

reset role;
