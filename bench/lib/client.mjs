import { generateKeyPairSync } from 'node:crypto';
import https from 'node:https';
import { encodeCsr, readCertsOnly, readPublicKey, toPem } from '#pki';

/** JSON to the API plane as the bootstrap operator. */
export async function api(instance, method, route, body) {
  const agent = (instance.agent ??= new https.Agent({ keepAlive: true, maxSockets: 8, ca: instance.rootPem }));
  const target = new URL(instance.urls.api + route);
  const text = body === undefined ? '' : JSON.stringify(body);
  return new Promise((resolve, reject) => {
    const request = https.request(
      {
        agent,
        host: target.hostname,
        port: target.port,
        path: target.pathname + target.search,
        method,
        headers: {
          authorization: `Bearer ${instance.token}`,
          ...(text === '' ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
        },
      },
      (response) => {
        const chunks = [];
        response.on('data', (chunk) => chunks.push(chunk));
        response.on('end', () => {
          const reply = Buffer.concat(chunks).toString();
          if (response.statusCode >= 300) reject(new Error(`${method} ${route}: ${response.statusCode} ${reply}`));
          else resolve(JSON.parse(reply));
        });
      },
    );
    request.on('error', reject);
    request.end(text);
  });
}

export async function makeRelease(instance) {
  const vendor = await api(instance, 'POST', '/v1/organizations', { name: 'Bench vendor', kind: 'vendor' });
  const app = await api(instance, 'POST', '/v1/apps', { name: 'Bench app', vendorId: vendor.id });
  const release = await api(instance, 'POST', `/v1/apps/${app.id}/releases`, { version: '1.0.0' });
  return { appId: app.id, releaseId: release.id };
}

export async function makeDevice(instance, release) {
  const device = await api(instance, 'POST', '/v1/devices', release);
  return { ...device, ...makeRequest(device) };
}

/** A new key and a request for the device's own names. */
export function makeRequest(device) {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const csr = encodeCsr(
    {
      subject: [[{ type: '2.5.4.3', value: device.id }]],
      publicKey: readPublicKey(publicKey.export({ type: 'spki', format: 'der' })),
      san: [{ type: 'uri', value: `urn:uuid:${device.instanceId}` }],
    },
    privateKey,
  );
  return { key: privateKey.export({ type: 'pkcs8', format: 'pem' }), csr: csr.toString('base64') };
}

/** Bytes of one EST request over a kept connection. */
export function estRequest(operation, csr, authorization) {
  return Buffer.from(
    `POST /.well-known/est/${operation} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/pkcs10\r\n` +
      `${authorization ? `Authorization: ${authorization}\r\n` : ''}Content-Length: ${csr.length}\r\n\r\n${csr}`,
  );
}

export const basic = (device) =>
  `Basic ${Buffer.from(`${device.enrollment.username}:${device.enrollment.secret}`).toString('base64')}`;

/** PEM of the one certificate in a certs-only reply body. */
export const certificatePem = (body) => toPem('CERTIFICATE', readCertsOnly(Buffer.from(body.toString(), 'base64'))[0]);
