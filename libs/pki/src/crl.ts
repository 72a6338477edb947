/** CRLReason codes by name, RFC 5280 section 5.3.1. The value 7 is not used there and never accepted here. */
export const CRL_REASON_CODES = {
  unspecified: 0,
  keyCompromise: 1,
  cACompromise: 2,
  affiliationChanged: 3,
  superseded: 4,
  cessationOfOperation: 5,
  certificateHold: 6,
  removeFromCRL: 8,
  privilegeWithdrawn: 9,
  aACompromise: 10,
} as const;

export type CrlReason = keyof typeof CRL_REASON_CODES;

const REASONS_BY_CODE: ReadonlyMap<number, CrlReason> = new Map(
  Object.entries(CRL_REASON_CODES).map(([name, code]) => [code, name as CrlReason]),
);

/** The reason with this code, undefined for 7 and for anything RFC 5280 does not define. */
export function crlReasonOf(code: number): CrlReason | undefined {
  return REASONS_BY_CODE.get(code);
}

/** One revoked certificate. `serial`: lower-case hex of the INTEGER content. Dates count whole seconds. */
export interface CrlEntry {
  serial: string;
  revokedAt: Date;
  /** 'unspecified' is expressed by leaving the extension out (C10). */
  reason: CrlReason;
  /** When the key is thought to have been lost, RFC 5280 section 5.3.2. */
  invalidityDate: Date | undefined;
}
