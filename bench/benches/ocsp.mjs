import { randomBytes } from 'node:crypto';
import { der, fromPem, makeCertId, OID, readCertificate, readOcspResponse } from '#pki';
import { api, basic, certificatePem, estRequest, makeDevice, makeRelease } from '../lib/client.mjs';
import { load, median, once } from '../lib/load.mjs';
import { cpuSeconds, startBaseline, startInstance } from '../lib/processes.mjs';

const ROUNDS = 5;
const SECONDS = 3;
const CONNECTIONS = 16;

/** One enrolled device; its certificate and that of its issuer. */
async function enrolled(instance) {
  const device = await makeDevice(instance, await makeRelease(instance));
  const port = Number(new URL(instance.urls.est).port);
  const secure = { ca: instance.rootPem, servername: 'localhost' };
  const reply = await once(port, secure, estRequest('simpleenroll', device.csr, basic(device)));
  return { device, certificate: certificatePem(reply) };
}

export function ocspRequest(leaf, issuer, nonce) {
  const certId = makeCertId('sha1', issuer.subjectDer, issuer.publicKey, leaf.serial);
  const extension = nonce && der.sequence(der.oid(OID.ocspNonce), der.octetString(der.octetString(nonce)));
  return der.sequence(
    der.sequence(
      der.sequence(der.sequence(certId.der)),
      ...(extension ? [der.constructed(2, der.sequence(extension))] : []),
    ),
  );
}

async function prepare() {
  const instance = await startInstance();
  const { device, certificate } = await enrolled(instance);
  const leaf = readCertificate(fromPem(certificate)[0]);
  const issuers = await api(instance, 'GET', '/v1/issuers');
  const issuing = (issuers.items ?? issuers).find((one) => one.kind === 'issuing');
  const der_ = Buffer.from(await (await fetch(`${instance.urls.status}/ca/${issuing.id}.cer`)).arrayBuffer());
  return { instance, device, leaf, issuer: readCertificate(der_) };
}

/** Alternates ours and the baseline, so that both see the same machine; the figure is the median of the ratios. */
export async function alternate(ours, baseline, pids) {
  const rounds = [];
  await ours(1);
  await baseline(1);
  for (let round = 0; round < ROUNDS; round++) {
    const b = await baseline(SECONDS);
    const before = cpuSeconds(pids);
    const o = await ours(SECONDS);
    const cpu = (cpuSeconds(pids) - before) / o.count;
    rounds.push({ ours: o, baseline: b, ratio: o.perSecond / b.perSecond, cpuMicros: cpu * 1e6 });
  }
  return {
    perSecond: median(rounds.map((r) => r.ours.perSecond)),
    p99: median(rounds.map((r) => r.ours.p99)),
    baselinePerSecond: median(rounds.map((r) => r.baseline.perSecond)),
    ratio: median(rounds.map((r) => r.ratio)),
    cpuMicros: median(rounds.map((r) => r.cpuMicros)),
    ratios: rounds.map((r) => r.ratio),
  };
}

export async function ocspGet() {
  const { instance, leaf, issuer } = await prepare();
  const port = Number(new URL(instance.urls.status).port);
  const path = `/ocsp/${encodeURIComponent(ocspRequest(leaf, issuer).toString('base64'))}`;
  const reply = await fetch(instance.urls.status + path);
  const body = Buffer.from(await reply.arrayBuffer());
  const answer = readOcspResponse(body);
  if (answer.responses[0]?.status.status !== 'good') throw new Error('the answer is not good');
  const baseline = await startBaseline('bytes', { body: body.toString('base64') });
  const request = Buffer.from(`GET ${path} HTTP/1.1\r\nHost: bench\r\n\r\n`);
  const run = (to) => (seconds) => load({ port: to, connections: CONNECTIONS, seconds, next: () => request });
  try {
    const result = await alternate(run(port), run(baseline.port), [instance.pid]);
    return [{ name: 'OCSP GET, cached', target: 'ratio >= 0.6', met: result.ratio >= 0.6, ...result }];
  } finally {
    await baseline.stop();
    await instance.stop();
  }
}

export async function ocspPost() {
  const { instance, leaf, issuer } = await prepare();
  const port = Number(new URL(instance.urls.status).port);
  const baseline = await startBaseline('echo', {});
  const requests = Array.from({ length: 2000 }, () => {
    const body = ocspRequest(leaf, issuer, randomBytes(32));
    const head = `POST /ocsp HTTP/1.1\r\nHost: bench\r\nContent-Type: application/ocsp-request\r\nContent-Length: ${body.length}\r\n\r\n`;
    return Buffer.concat([Buffer.from(head), body]);
  });
  const next = (i) => requests[i % requests.length];
  const run = (to) => (seconds) => load({ port: to, connections: CONNECTIONS, seconds, next });
  try {
    const result = await alternate(run(port), run(baseline.port), [instance.pid]);
    return [{ name: 'OCSP POST, nonce, P-256', target: 'ratio >= 0.25', met: result.ratio >= 0.25, ...result }];
  } finally {
    await baseline.stop();
    await instance.stop();
  }
}
