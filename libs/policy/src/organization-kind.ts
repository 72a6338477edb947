/** What an organization is here. There is one `authority`: the operators of this instance. */
export const ORGANIZATION_KINDS = ['authority', 'testing', 'provider', 'vendor'] as const;
export type OrganizationKind = (typeof ORGANIZATION_KINDS)[number];
