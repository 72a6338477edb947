// npm run bench [-- <name> ...]: runs the benches, prints a table, writes bench/results/<time>.json.
import { mkdir, writeFile } from 'node:fs/promises';
import os from 'node:os';
import { auditCost, auditVerify } from './benches/audit.mjs';
import { crl } from './benches/crl.mjs';
import { simpleEnroll, simpleReenroll } from './benches/enroll.mjs';
import { growth } from './benches/growth.mjs';
import { introspect } from './benches/introspect.mjs';
import { ocspGet, ocspPost } from './benches/ocsp.mjs';
import { pkcs11 } from './benches/pkcs11.mjs';

const BENCHES = {
  'ocsp-get': ocspGet,
  'ocsp-post': ocspPost,
  introspect,
  simpleenroll: simpleEnroll,
  simplereenroll: simpleReenroll,
  pkcs11,
  crl,
  'audit-verify': auditVerify,
  'audit-cost': auditCost,
  growth,
};

/** Takes minutes and some 16 GB of disk. */
const ASKED_FOR = ['growth'];

const wanted = process.argv.slice(2);
if (wanted.includes('--help')) {
  console.log(
    `npm run bench [-- <name> ...]\n\nNames: ${Object.keys(BENCHES).join(', ')} (default: all but ${ASKED_FOR.join(', ')},\nwhich takes six minutes and 16 GB below TMPDIR)`,
  );
  process.exit(0);
}
const unknown = wanted.find((name) => !(name in BENCHES));
if (unknown !== undefined) {
  console.error(`bench: no bench "${unknown}"; there are ${Object.keys(BENCHES).join(', ')}`);
  process.exit(2);
}

const results = [];
for (const [name, bench] of Object.entries(BENCHES)) {
  if (wanted.length > 0 ? !wanted.includes(name) : ASKED_FOR.includes(name)) continue;
  process.stderr.write(`${name} ...\n`);
  results.push(...(await bench()));
}

const cell = (value, digits) => (value === undefined ? '-' : value.toFixed(digits));
console.log(`\n${os.cpus().length} x ${os.cpus()[0]?.model.trim()}, Node ${process.version}\n`);
console.log('| Bench | ours/s | baseline/s | ratio | p99 ms | CPU us each | target | met |');
console.log('|---|---|---|---|---|---|---|---|');
for (const r of results) {
  console.log(
    `| ${r.name} | ${cell(r.perSecond, 0)} | ${cell(r.baselinePerSecond, 0)} | ${cell(r.ratio, 2)} | ${cell(r.p99, 1)} | ` +
      `${cell(r.cpuMicros, 0)} | ${r.target} | ${r.met ? 'yes' : 'MISSED'} |`,
  );
}
for (const r of results) {
  const rest = Object.entries(r).filter(([name]) =>
    [
      'cpuRatio',
      'halfLoadPerSecond',
      'halfLoadP99',
      'handshakeCpuMicros',
      'postgresCpuMicros',
      'postgresCpuRatio',
      'clientCpuMicros',
      'seconds',
      'seedSeconds',
      'startSeconds',
      'startSecondsWithFew',
      'rssMb',
      'rssMbWithFew',
      'postgresMb',
      'databaseMb',
      'entries',
      'bytes',
    ].includes(name),
  );
  if (rest.length > 0) {
    console.log(
      `${r.name}: ${rest.map(([k, v]) => `${k} ${typeof v === 'number' ? Math.round(v * 100) / 100 : v}`).join(', ')}`,
    );
  }
}
const directory = new URL('./results/', import.meta.url);
await mkdir(directory, { recursive: true });
const file = new URL(`${new Date().toISOString().replaceAll(':', '-')}.json`, directory);
await writeFile(file, `${JSON.stringify({ node: process.version, cpus: os.cpus().length, results }, null, 2)}\n`);
console.log(`\nWritten to bench/results/${file.pathname.split('/').pop()}`);
process.exit(0);
