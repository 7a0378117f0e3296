// Verifies records with their .tlog-proof by @sigstore/verify, with which npm checks
// where packages come from. Usage: node verify.mjs FOLDER VKEY; FOLDER holds SEQ.json
// and SEQ.tlog-proof. Exit code 0 only if all of it holds.
import { createHash, createPublicKey } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

// Not what the package exports for others, hence the exact version.
const { verifyTLogInclusion } = createRequire(import.meta.url)(
  "@sigstore/verify/dist/tlog",
);
const ED25519 = Buffer.from("302a300506032b6570032100", "hex");

function authority(vkey) {
  const [name, , ...typed] = vkey.split("+");
  const key = Buffer.from(typed.join("+"), "base64");
  const der = Buffer.concat([ED25519, key.subarray(1)]);
  return {
    logID: createHash("sha256").update(`${name}\n`).update(key).digest(),
    publicKey: createPublicKey({ key: der, format: "der", type: "spki" }),
    baseURL: `https://${name}`,
  };
}

function entry(record, proof) {
  const [head, ...rest] = proof.split("\n\n");
  const [, index, ...hashes] = head.split("\n");
  return {
    canonicalizedBody: record,
    inclusionProof: {
      logIndex: index.replace("index ", ""),
      hashes: hashes.map((line) => Buffer.from(line, "base64")),
      checkpoint: { envelope: rest.join("\n\n") },
    },
  };
}

const [folder, vkey] = process.argv.slice(2);
const proofs = readdirSync(folder).filter((name) => name.endsWith(".tlog-proof"));
try {
  for (const name of proofs) {
    const record = readFileSync(join(folder, name.replace(".tlog-proof", ".json")));
    const proof = readFileSync(join(folder, name), "utf8");
    verifyTLogInclusion(entry(record, proof), [authority(vkey)]);
  }
} catch (error) {
  console.error("DOES NOT HOLD:", error.code, error.message);
  process.exit(1);
}
console.log("holds:", proofs.length, "records");
