import { sealContext } from '#credential';
import type { Device } from '#store';

type SecretFacts = { id: string; expiresAt: Date };
type DeviceFacts = Pick<Device, 'id' | 'instanceId'>;

/** A secret's verifier opens only in its own row, for its own device as it was registered, until its own end. */
export const secretSealContext = (secret: SecretFacts, device: DeviceFacts): Buffer =>
  sealContext('enrollment-secret', fieldsOf(secret, device));

/** What is kept of it for HTTP Digest, likewise; neither opens in the place of the other. */
export const digestSealContext = (secret: SecretFacts, device: DeviceFacts): Buffer =>
  sealContext('enrollment-digest', fieldsOf(secret, device));

const fieldsOf = (secret: SecretFacts, device: DeviceFacts): Record<string, string> => ({
  id: secret.id,
  deviceId: device.id,
  instanceId: device.instanceId,
  expiresAt: secret.expiresAt.toISOString(),
});
