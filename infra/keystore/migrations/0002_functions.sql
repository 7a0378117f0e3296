-- One round trip a batch, over all its tenants.
--
-- Each function walks the tenants of the batch and, before a tenant's statements, sets
-- the role and both settings that the policies read. They run with the rights of the
-- caller. A batch comes sorted by tenant: `counts` says how many ids each has.
--
-- Plans are made anew each time: with the day and the class as constants only one
-- partition is planned, opened and locked, however many there are.

set local role sluice_keystore_owner;

create function keystore.act_as(tenant uuid) returns void
  language sql volatile
begin atomic
  select set_config('role', 'sluice_keystore_tenant', true),
         set_config('request.jwt.claims',
                    jsonb_build_object('tenant_id', tenant)::text, true),
         set_config('sluice.tenant_id', tenant::text, true);
end;

create function keystore.day_of(key_id bytea) returns date
  language sql immutable
  return date '1970-01-01' + (get_byte(key_id, 0) << 8 | get_byte(key_id, 1));

create function keystore.class_of(key_id bytea) returns smallint
  language sql immutable
  return get_byte(key_id, 2)::smallint;

-- Keep keys. Answers only what was refused: `stale` where the caller wrapped under
-- another epoch or version than the tenant's present one, `gone` where the tenant has
-- no key any more or the id was destroyed.
create function keystore.dek_create(
  tenants uuid[], counts integer[], epochs bigint[], versions integer[],
  ids bytea[], requests uuid[], subjects bytea[], wraps bytea[]
) returns table (refused bytea, verdict text)
  language plpgsql volatile
as $$
declare
  first integer := 1;
  last integer;
  stands keystore.tenant_keys;
begin
  for place in 1 .. cardinality(tenants) loop
    last := first + counts[place] - 1;
    perform keystore.act_as(tenants[place]);
    select * into stands from keystore.tenant_keys k
      where k.tenant_id = tenants[place];
    if not found or stands.state <> 'active' then
      return query select id, 'gone' from unnest(ids[first:last]) id;
    elsif (stands.epoch, stands.version) <> (epochs[place], versions[place]) then
      return query select id, 'stale' from unnest(ids[first:last]) id;
    else
      return query select d.key_id, 'gone' from keystore.destroyed d
        where d.tenant_id = tenants[place] and d.key_id = any (ids[first:last]);
      insert into keystore.dek
        (day, class, key_id, request_id, subject, kek_version, wrapped)
        select keystore.day_of(n.id), keystore.class_of(n.id), n.id,
               n.request, n.subject, versions[place], n.wrapped
          from unnest(ids[first:last], requests[first:last], subjects[first:last],
                      wraps[first:last]) n (id, request, subject, wrapped)
         where not exists (select from keystore.destroyed d
                            where d.tenant_id = tenants[place] and d.key_id = n.id)
        on conflict do nothing;
    end if;
    first := last + 1;
  end loop;
end
$$;

create function keystore.dek_fetch(tenants uuid[], counts integer[], ids bytea[])
  returns table (tenant_id uuid, key_id bytea, kek_version integer, wrapped bytea,
                 epoch bigint)
  language plpgsql volatile set plan_cache_mode = force_custom_plan
as $$
declare
  first integer := 1;
  last integer;
  part record;
begin
  for place in 1 .. cardinality(tenants) loop
    last := first + counts[place] - 1;
    perform keystore.act_as(tenants[place]);
    for part in
      select keystore.day_of(id) as day, keystore.class_of(id) as class,
             array_agg(id) as ids
        from unnest(ids[first:last]) id group by 1, 2
    loop
      return query
        select d.tenant_id, d.key_id, d.kek_version, d.wrapped, k.epoch
          from keystore.dek d
          join keystore.tenant_keys k using (tenant_id)
         where d.day = part.day and d.class = part.class
           and d.key_id = any (part.ids) and k.state = 'active';
    end loop;
    first := last + 1;
  end loop;
end
$$;

create function keystore.dek_forget(tenants uuid[], counts integer[], ids bytea[])
  returns integer
  language plpgsql volatile set plan_cache_mode = force_custom_plan
as $$
declare
  first integer := 1;
  last integer;
  part record;
  deleted integer;
  total integer := 0;
begin
  for place in 1 .. cardinality(tenants) loop
    last := first + counts[place] - 1;
    perform keystore.act_as(tenants[place]);
    for part in
      select keystore.day_of(id) as day, keystore.class_of(id) as class,
             array_agg(id) as ids
        from unnest(ids[first:last]) id group by 1, 2
    loop
      delete from keystore.dek d
       where d.day = part.day and d.class = part.class
         and d.key_id = any (part.ids);
      get diagnostics deleted = row_count;
      total := total + deleted;
    end loop;
    first := last + 1;
  end loop;
  return total;
end
$$;

-- The tenants' own keys: version null asks for the present one.
create function keystore.kek_load(tenants uuid[], versions integer[])
  returns table (tenant_id uuid, version integer, wrapped bytea, epoch bigint,
                 present boolean)
  language plpgsql volatile
as $$
begin
  for place in 1 .. cardinality(tenants) loop
    perform keystore.act_as(tenants[place]);
    return query
      select k.tenant_id, k.version, k.wrapped, t.epoch, k.version = t.version
        from keystore.kek k
        join keystore.tenant_keys t using (tenant_id)
       where t.tenant_id = tenants[place] and t.state = 'active'
         and k.version = coalesce(versions[place], t.version);
  end loop;
end
$$;

-- Give a tenant this version of its key, unless it has it; where it then stands.
create function keystore.kek_add(tenant uuid, added integer, wrap bytea)
  returns keystore.tenant_keys
  language plpgsql volatile
as $$
declare
  stands keystore.tenant_keys;
begin
  perform keystore.act_as(tenant);
  insert into keystore.tenant_keys (version) values (added) on conflict do nothing;
  select * into strict stands from keystore.tenant_keys k
    where k.tenant_id = tenant for update;
  if stands.state = 'active' then
    insert into keystore.kek (version, wrapped) values (added, wrap)
      on conflict do nothing;
    update keystore.tenant_keys k set version = added, epoch = k.epoch + 1
     where k.tenant_id = tenant and k.version < added
     returning * into stands;
  end if;
  select * into strict stands from keystore.tenant_keys k where k.tenant_id = tenant;
  return stands;
end
$$;

-- Ids of one request or of one subject, and whose they are.
create function keystore.dek_of(tenant uuid, request uuid, person bytea)
  returns table (key_id bytea, request_id uuid)
  language plpgsql volatile set plan_cache_mode = force_custom_plan
as $$
begin
  perform keystore.act_as(tenant);
  return query select d.key_id, d.request_id from keystore.dek d
    where d.tenant_id = tenant
      and (request is null or d.request_id = request)
      and (person is null or d.subject = person)
      and num_nonnulls(request, person) = 1
    order by 1;
end
$$;

-- Destroy at most `most` keys of one request or of one subject, leave tombstones, and
-- raise the epoch, in one transaction.
create function keystore.dek_destroy(
  tenant uuid, request uuid, person bytea, most integer
) returns table (key_id bytea, request_id uuid)
  language plpgsql volatile set plan_cache_mode = force_custom_plan
as $$
declare
  raised bigint;
begin
  perform keystore.act_as(tenant);
  update keystore.tenant_keys k set epoch = k.epoch + 1
   where k.tenant_id = tenant returning k.epoch into raised;
  return query
    with chosen as (
      select d.day, d.class, d.key_id from keystore.dek d
       where d.tenant_id = tenant
         and (request is null or d.request_id = request)
         and (person is null or d.subject = person)
         and num_nonnulls(request, person) = 1
       limit most
    ), deleted as (
      delete from keystore.dek d using chosen c
       where (d.day, d.class, d.key_id) = (c.day, c.class, c.key_id)
      returning d.key_id, d.request_id
    ), tombstones as (
      insert into keystore.destroyed (key_id, request_id, epoch)
      select d.key_id, d.request_id, raised from deleted d
      on conflict do nothing
    )
    select d.key_id, d.request_id from deleted d;
end
$$;

-- The end of a tenant: nothing opens from here on. Which versions there are to destroy.
create function keystore.tenant_close(tenant uuid) returns setof integer
  language plpgsql volatile
as $$
begin
  perform keystore.act_as(tenant);
  update keystore.tenant_keys k set state = 'terminated', epoch = k.epoch + 1
   where k.tenant_id = tenant and k.state = 'active';
  return query select generate_series(1, k.version) from keystore.tenant_keys k
    where k.tenant_id = tenant;
end
$$;

-- Delete at most `most` of a closed tenant's keys; how many, 0 when all are gone.
create function keystore.tenant_wipe(tenant uuid, most integer) returns integer
  language plpgsql volatile
as $$
declare
  deleted integer;
begin
  perform keystore.act_as(tenant);
  if exists (select from keystore.tenant_keys k
              where k.tenant_id = tenant and k.state = 'active') then
    raise 'expected a closed tenant';
  end if;
  delete from keystore.kek k where k.tenant_id = tenant;
  delete from keystore.subject_key k where k.tenant_id = tenant;
  delete from keystore.dek d using (
    select day, class, key_id from keystore.dek
     where tenant_id = tenant limit most
  ) c where (d.day, d.class, d.key_id) = (c.day, c.class, c.key_id);
  get diagnostics deleted = row_count;
  return deleted;
end
$$;

revoke execute on all functions in schema keystore from public;
grant execute on function
  keystore.act_as, keystore.claimed_tenant, keystore.day_of, keystore.class_of
  to sluice_keystore_tenant, sluice_keystore_app, sluice_keystore_keeper;
grant execute on function
  keystore.dek_create, keystore.dek_fetch, keystore.dek_forget, keystore.kek_load,
  keystore.dek_of
  to sluice_keystore_app, sluice_keystore_keeper;
grant execute on function
  keystore.kek_add, keystore.dek_destroy, keystore.tenant_close, keystore.tenant_wipe
  to sluice_keystore_keeper;

reset role;
