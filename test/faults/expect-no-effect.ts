import { expect } from '@jest/globals';
import { actWhileAuditFails } from './refuse-audit.js';

/** Tries at least so many actions of every kind while the audit log refuses each entry: none may take effect. */
export async function expectNoEffectWithoutAudit(atLeast: number): Promise<void> {
  const { actions, succeeded, failed, refusedBefore, effects } = await actWhileAuditFails(atLeast);
  process.stdout.write(`${actions} actions without audit: ${JSON.stringify({ failed, refusedBefore })}\n`);
  expect(actions).toBeGreaterThanOrEqual(atLeast);
  expect(succeeded).toEqual([]);
  expect(effects).toEqual([]);
  // These came to the very end; what is refused before it says nothing.
  expect(Object.keys(failed)).toEqual(
    expect.arrayContaining([
      ...['simpleenroll', 'simplereenroll', 'POST /v1/organizations', 'POST /v1/apps', 'POST /v1/apps/:id/releases'],
      ...['POST /v1/devices', 'PATCH /v1/devices/:id', 'POST /v1/devices/:id/reset', 'POST /v1/devices/:id/suspend'],
      ...['POST /v1/devices/:id/resume', 'POST /v1/devices/:id/revoke', 'POST /v1/device-groups', 'POST /v1/keys'],
      ...['POST /v1/keys/:id/rotate', 'POST /v1/keys/:id/suspend', 'POST /v1/keys/:id/resume'],
      ...['POST /v1/keys/:id/revoke', 'POST /v1/certificates/:serial/revoke'],
      ...['POST /v1/certificates/:serial/release', 'PUT /v1/organizations/:id/quotas'],
    ]),
  );
}
