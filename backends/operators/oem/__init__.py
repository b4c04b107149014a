"""The vehicle manufacturer: provisioning certificates, webhooks, contracts over the air."""
