import { isHostName } from '#pki';
import { refuseForm } from './refuse-form.js';

/**
 * A whole domain name in lower case: letters, digits and hyphens (RFC 1123 section 2.1), at least two labels, A-labels that
 * decode (RFC 9549 section 2.3). No wildcard and no address: those who compare take the text as it stands (RFC 5922 section
 * 7.2). `name` is what the refusal shows. Throws `invalid` (code `nameForm`).
 */
export function canonicalHost(host: string, name = host): string {
  if (host === '') refuseForm(name, 'lacks its domain');
  if (host.includes('*')) refuseForm(name, 'is a wildcard; each name is listed itself');
  if (host.includes('%')) refuseForm(name, 'has an escape in its domain');
  if (host.startsWith('[') || /^[\d.]+$/.test(host)) refuseForm(name, 'has an address where a domain belongs');
  if (/[^\0-\x7f]/.test(host)) refuseForm(name, 'has a domain that is not ASCII; write it in A-labels (xn--...)');
  const folded = host.toLowerCase();
  const labels = folded.split('.');
  if (!isHostName(folded)) refuseForm(name, 'has a domain that is not one of letters, digits and hyphens');
  if (labels.length < 2) refuseForm(name, 'has a domain of a single label');
  if (/^\d+$/.test(labels.at(-1) ?? '')) refuseForm(name, 'has an address where a domain belongs');
  return folded;
}
