"""What operators watch: signals as metrics, alert rules, the dashboard."""
