/** What the process with the token is asked, and answers. Types only: that process loads nothing of ours. */
export type TokenRequest =
  | { id: number; op: 'open'; module: string; token: string; pin: string; sessions: number }
  | { id: number; op: 'sign'; key: string; mechanism: 'ecdsa' | 'rsa'; data: Uint8Array }
  | { id: number; op: 'generate'; key: string; label: string; curve?: Uint8Array; bits?: number };

/** `rv`: the name of the PKCS#11 return value, or `NO_BINDING`, `NO_TOKEN`, `NO_KEY`, `PIN_LAST_TRY` of our own. */
export type TokenReply =
  | { id: number; ok: true; signature?: Uint8Array; point?: Uint8Array; modulus?: Uint8Array; exponent?: Uint8Array }
  | { id: number; ok: false; rv: string };
