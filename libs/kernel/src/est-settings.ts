import { z } from 'zod';
import { readEstAccounts, type EstAccounts } from './est-accounts.js';
import { readEstProxies, type EstProxies } from './est-proxies.js';

/** Variables of who else than devices themselves speaks for devices to EST. */
export const estEnvironment = {
  TOUCHMARK_EST_ACCOUNT_ISSUER: z.url({ protocol: /^https?$/, error: 'must be an https:// URL' }).optional(),
  TOUCHMARK_EST_ACCOUNT_AUDIENCE: z.string().min(1).max(500).optional(),
  TOUCHMARK_EST_ACCOUNT_MAX_AGE_SECONDS: z
    .string()
    .regex(/^[1-9][0-9]{0,5}$/, 'must be seconds, a whole number from 1 to 999999')
    .transform(Number)
    .default(3600),
  TOUCHMARK_EST_PROXIES: z.string().default(''),
  TOUCHMARK_EST_PROXY_SOCKET: z.string().min(1).max(100).optional(),
};

export interface EstSettings {
  estProxies: EstProxies;
  /** Whose accounts enroll devices; undefined: nobody's. */
  estAccounts: EstAccounts | undefined;
}

/** Throws `invalid`, naming the variable. */
export function estSettings(e: z.infer<z.ZodObject<typeof estEnvironment>>): EstSettings {
  const proxies = e.TOUCHMARK_EST_PROXIES.split(',').map((one) => one.trim());
  return {
    estProxies: readEstProxies(
      proxies.filter((one) => one !== ''),
      e.TOUCHMARK_EST_PROXY_SOCKET,
    ),
    estAccounts: readEstAccounts({
      issuer: e.TOUCHMARK_EST_ACCOUNT_ISSUER,
      audience: e.TOUCHMARK_EST_ACCOUNT_AUDIENCE,
      maxAgeSeconds: e.TOUCHMARK_EST_ACCOUNT_MAX_AGE_SECONDS,
    }),
  };
}
