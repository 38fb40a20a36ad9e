def render(config, results, metrics):
    return "<html>"
