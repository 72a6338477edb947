import { createHash } from 'node:crypto';

/** When a certificate is to be renewed: at a time of one's choice in it, at once when it is over. */
export interface RenewalWindow {
  start: Date;
  end: Date;
}

/**
 * Within the last third of the certificate's life, a quarter of that third long, and over a twelfth of it before
 * the end at the latest. Where it begins follows from the serial: the same each time, and spread over a fleet that was
 * enrolled in one hour.
 */
export function renewalWindow(certificate: { serial: Buffer; notBefore: Date; notAfter: Date }): RenewalWindow {
  const { serial, notBefore, notAfter } = certificate;
  const third = (notAfter.getTime() - notBefore.getTime()) / 3;
  const fraction = createHash('sha256').update(serial).digest().readUInt32BE(0) / 2 ** 32;
  const start = notAfter.getTime() - third + fraction * third * (2 / 3);
  return { start: wholeSeconds(start), end: wholeSeconds(start + third / 4) };
}

const wholeSeconds = (ms: number): Date => new Date(Math.floor(ms / 1000) * 1000);
