import type { OrganizationKind } from './organization-kind.js';

/** What a person or a token may be; each within one organization. */
export const ROLES = ['admin', 'officer', 'approver', 'developer', 'checker', 'auditor'] as const;
export type Role = (typeof ROLES)[number];

/**
 * Everything that the API lets anybody do. A route names one of these; which rows it then sees and changes is limited by
 * its organization. `session` is what every signed-in caller may do about itself.
 */
export const PERMISSIONS = [
  'session',
  'organization:create',
  'organization:read',
  'app:create',
  'app:read',
  'release:create',
  'release:read',
  'group:create',
  'group:read',
  'group:suspend',
  'group:resume',
  'group:revoke',
  'device:register',
  'device:read',
  'device:try',
  'device:change',
  'device:reset',
  'device:suspend',
  'device:resume',
  'device:revoke',
  'domain:read',
  'domain:claim',
  'domain:change',
  'user:read',
  'user:create',
  'user:change',
  'certificate:read',
  'certificate:revoke',
  'certificate:release',
  'renewal:call',
  'key:issue',
  'key:read',
  'key:rotate',
  'key:suspend',
  'key:resume',
  'key:revoke',
  'key:introspect',
  'issuer:read',
  'issuer:change',
  'profile:read',
  'profile:change',
  'label:read',
  'label:change',
  'anchors:read',
  'anchors:change',
  'anchors:crl',
  'approval:read',
  'approval:decide',
  'person:read',
  'person:manage',
  'token:read',
  'token:manage',
  'notice:read',
  'notice:manage',
  'audit:read',
  'quota:read',
  'quota:manage',
  'blockedKey:read',
  'blockedKey:import',
  'metrics:read',
] as const;
export type Permission = (typeof PERMISSIONS)[number];

/** Whoever belongs to an organization sees the catalogue and its own entry. */
const BASIC: readonly Permission[] = ['session', 'organization:read', 'issuer:read', 'profile:read', 'label:read'];

/** Of the instance, not of an organization. */
const OF_THE_INSTANCE: readonly Permission[] = ['metrics:read', 'blockedKey:read'];
const READ: readonly Permission[] = PERMISSIONS.filter(
  (one) => one.endsWith(':read') && !OF_THE_INSTANCE.includes(one),
);

/** Own people, own tokens, own receivers of notices; never what these are used for. */
const ADMIN: readonly Permission[] = ['session', ...READ, 'person:manage', 'token:manage', 'notice:manage'];

const APPROVER: readonly Permission[] = ['session', ...READ, 'approval:decide'];
const AUDITOR: readonly Permission[] = ['session', ...READ];

/** Issues and revokes. What needs a second person it proposes. */
const OFFICER: readonly Permission[] = [
  ...BASIC,
  ...(
    ['app', 'release', 'group', 'device', 'domain', 'user', 'certificate', 'renewal', 'key', 'approval'] as const
  ).flatMap((noun) => PERMISSIONS.filter((one) => one.startsWith(`${noun}:`) && one !== 'approval:decide')),
];

/** Of a vendor: its own apps, domains and users. Takes its keys out of service at once; only who vouches for them brings them back. */
const DEVELOPER: readonly Permission[] = [
  ...BASIC,
  'app:read',
  'release:read',
  'release:create',
  'group:read',
  'device:read',
  'device:try',
  'domain:read',
  'domain:claim',
  'domain:change',
  'user:read',
  'user:create',
  'user:change',
  'certificate:read',
  'key:read',
  'key:rotate',
  'key:suspend',
  'key:revoke',
];

const GRANTS: Readonly<Record<OrganizationKind, Partial<Readonly<Record<Role, readonly Permission[]>>>>> = {
  authority: {
    admin: [
      ...ADMIN,
      'organization:create',
      'issuer:change',
      'profile:change',
      'label:change',
      'anchors:change',
      'anchors:crl',
      'quota:manage',
      'blockedKey:import',
      ...OF_THE_INSTANCE,
    ],
    officer: [...OFFICER, 'anchors:read', 'anchors:crl', 'blockedKey:read', 'blockedKey:import'],
    approver: [...APPROVER, 'blockedKey:read'],
    auditor: [...AUDITOR, ...OF_THE_INSTANCE],
  },
  testing: { admin: ADMIN, officer: OFFICER, approver: APPROVER, auditor: AUDITOR },
  provider: { admin: ADMIN, checker: [...BASIC, 'key:introspect'], approver: APPROVER, auditor: AUDITOR },
  vendor: { admin: ADMIN, developer: DEVELOPER, approver: APPROVER, auditor: AUDITOR },
};

/** The roles that an organization of this kind has. */
export function rolesOf(kind: OrganizationKind): Role[] {
  return ROLES.filter((role) => GRANTS[kind][role] !== undefined);
}

const cache = new Map<string, ReadonlySet<Permission>>();

/** What these roles together may do in an organization of this kind. Roles that the kind does not have give nothing. */
export function permissionsOf(kind: OrganizationKind, roles: Iterable<Role>): ReadonlySet<Permission> {
  const held = ROLES.filter((role) => new Set(roles).has(role));
  const name = `${kind} ${held.join(' ')}`;
  let known = cache.get(name);
  if (known === undefined) {
    known = new Set(held.flatMap((role) => GRANTS[kind][role] ?? []));
    cache.set(name, known);
  }
  return known;
}

export function isRole(text: string): text is Role {
  return (ROLES as readonly string[]).includes(text);
}
