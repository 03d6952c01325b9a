package openai

// Settle waits until the connections of finished rounds are free again.
func (c *Client) Settle() { c.wg.Wait() }
