drop table operator_tokens, device_groups, releases, apps, organizations;
