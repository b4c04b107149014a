"""The pools in the words of the domain: root, provisioning and contract certificates, events, webhooks, cleansing."""
