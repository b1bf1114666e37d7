max_epochs = 12
train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=12, val_interval=1)
train_dataloader = dict(batch_size=4, num_workers=4)
optim_wrapper = dict(optimizer=dict(type="SGD", lr=0.02, momentum=0.9))
