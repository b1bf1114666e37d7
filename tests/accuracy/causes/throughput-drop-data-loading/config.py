max_epochs = 24
train_dataloader = dict(batch_size=8, num_workers=2, dataset=dict(backend_args=dict(backend="http")))
