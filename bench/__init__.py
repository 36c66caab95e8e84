"""The comparison of tidewire with other servers: fan-out, idle connections, storms and slow consumers."""
