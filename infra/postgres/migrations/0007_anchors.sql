-- What others gave us for checkpoints: time stamps, cosignatures, where copies lie.

set local role sluice_owner;

create table sluice.ledger_anchor (
  tenant_id uuid not null default auth.tenant_id() references sluice.ledger_log,
  size bigint not null,
  kind text not null check (kind in ('timestamp', 'witness', 'copy')),
  given_by text not null check (given_by ~ '^[a-z0-9_-]{1,64}$'),
  evidence bytea not null check (octet_length(evidence) between 1 and 65536),
  at timestamptz not null,
  primary key (tenant_id, size, kind, given_by),
  foreign key (tenant_id, size) references sluice.ledger_checkpoint
);

alter table sluice.ledger_anchor enable row level security;
alter table sluice.ledger_anchor force row level security;
create policy tenant_fence on sluice.ledger_anchor
  to sluice_tenant, sluice_ledger_signer
  using (tenant_id = (select current_setting('sluice.tenant_id', true)::uuid))
  with check (tenant_id = (select current_setting('sluice.tenant_id', true)::uuid));
create policy tenant_floor on sluice.ledger_anchor as restrictive
  to sluice_tenant, sluice_ledger_signer
  using (tenant_id = (select auth.tenant_id()))
  with check (tenant_id = (select auth.tenant_id()));
grant select on sluice.ledger_anchor to sluice_tenant, sluice_ledger_signer;
grant insert on sluice.ledger_anchor to sluice_ledger_signer;

create trigger append_only before update or delete on sluice.ledger_anchor
  for each row execute function sluice.ledger_refuse();
create trigger no_truncate before truncate on sluice.ledger_anchor
  for each statement execute function sluice.ledger_refuse();
alter table sluice.ledger_anchor enable always trigger append_only;
alter table sluice.ledger_anchor enable always trigger no_truncate;

reset role;
