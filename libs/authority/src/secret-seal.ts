import { sealContext } from '#credential';
import type { Device } from '#store';

/** A secret's verifier opens only in its own row, for its own device as it was registered, until its own end. */
export const secretSealContext = (
  secret: { id: string; expiresAt: Date },
  device: Pick<Device, 'id' | 'instanceId'>,
): Buffer =>
  sealContext('enrollment-secret', {
    id: secret.id,
    deviceId: device.id,
    instanceId: device.instanceId,
    expiresAt: secret.expiresAt.toISOString(),
  });
