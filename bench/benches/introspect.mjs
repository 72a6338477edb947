import { api, makeRelease } from '../lib/client.mjs';
import { load } from '../lib/load.mjs';
import { startBaseline, startInstance } from '../lib/processes.mjs';
import { alternate } from './ocsp.mjs';
import { selfSigned } from '../lib/self-signed.mjs';

export async function introspect() {
  const instance = await startInstance();
  const { releaseId } = await makeRelease(instance);
  const issued = await api(instance, 'POST', '/v1/keys', { releaseId, audience: 'all', environment: 'live' });
  const baseline = await startBaseline('jsonEcho', selfSigned());
  const body = `token=${issued.key}`;
  const request = Buffer.from(
    `POST /v1/introspect HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer ${instance.token}\r\n` +
      `Content-Type: application/x-www-form-urlencoded\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  );
  const secure = { rejectUnauthorized: false };
  const run = (port) => (seconds) => load({ port, secure, connections: 16, seconds, next: () => request });
  try {
    const port = Number(new URL(instance.urls.api).port);
    const result = await alternate(run(port), run(baseline.port), [instance.pid]);
    return [{ name: 'introspect', target: 'ratio >= 0.4', met: result.ratio >= 0.4, ...result }];
  } finally {
    await baseline.stop();
    await instance.stop();
  }
}
