import { ORGANIZATION_KINDS, permissionsOf, PERMISSIONS, rolesOf, type OrganizationKind, type Role } from '#policy';

export interface RouteRow {
  method: string;
  url: string;
  access: string;
}

/** One column of the matrix: a role in an organization of a kind. */
export interface Column {
  kind: OrganizationKind;
  role: Role;
}

export const COLUMNS: readonly Column[] = ORGANIZATION_KINDS.flatMap((kind) =>
  rolesOf(kind).map((role) => ({ kind, role })),
);

export const allowed = ({ kind, role }: Column, access: string): boolean =>
  access === 'public' || PERMISSIONS.some((one) => one === access && permissionsOf(kind, [role]).has(one));

export const sortRoutes = (routes: readonly RouteRow[]): RouteRow[] =>
  routes
    .filter(({ method }) => method !== 'HEAD')
    .sort((a, b) => (`${a.url} ${a.method}` < `${b.url} ${b.method}` ? -1 : 1));

/** The document that declares every cell; a route or a right that is not in it fails the specs. */
export function renderMatrix(routes: readonly RouteRow[]): string {
  const head = ['Route', 'Permission', ...COLUMNS.map(({ kind, role }) => `${kind} ${role}`)];
  const rows = sortRoutes(routes).map(({ method, url, access }) => [
    `\`${method} ${url}\``,
    `\`${access}\``,
    ...COLUMNS.map((column) => (allowed(column, access) ? 'yes' : '-')),
  ]);
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}
